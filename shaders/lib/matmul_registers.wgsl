// c[i, j] = Σ_p left[i, p] right[p, j], on a processor without fast shared memory: each invocation keeps 16 rows of 4
// neighbouring columns in registers; the 8 invocations of a workgroup lie side by side along the columns.

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i = tile_row * TILE_ROWS;
    let j4 = tile_column * (TILE_COLUMNS / 4u) + lane;
    var rows: array<u32, 16>;
    for (var r = 0u; r < 16u; r++) {
        rows[r] = part_row(i + r);
    }
    var sums: array<vec4<f32>, 16>;
    for (var p4 = 0u; p4 < depth4; p4++) {
        let right = part_right(p4, j4);
        for (var r = 0u; r < 16u; r++) {
            sums[r] += right * part_left(rows[r], p4);
        }
    }
    for (var r = 0u; r < 16u; r++) {
        part_finish(i + r, j4, sums[r]);
    }
}
