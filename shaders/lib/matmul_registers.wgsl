// c[i, j] = Σ_p left[i, p] right[p, j], on a processor without fast shared memory: each invocation keeps 16 rows of 4
// neighbouring columns in registers; the 8 invocations of a workgroup lie side by side along the columns. Loads are
// what costs time here, so where the rows start is looked up once.
fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i4 = tile_row * (TILE_ROWS / 4u);
    let j4 = tile_column * (TILE_COLUMNS / 4u) + lane;
    var rows: array<vec4<u32>, 4>;
    for (var r4 = 0u; r4 < 4u; r4++) {
        rows[r4] = part_rows(i4 + r4);
    }
    var sums: array<vec4<f32>, 16>;
    for (var p4 = 0u; p4 < depth4; p4++) {
        let right = part_right(p4, j4);
        for (var r4 = 0u; r4 < 4u; r4++) {
            let left = part_left(rows[r4], p4);
            // Written out: a product of matrices compiles to something twice as slow.
            sums[4u * r4] += right * left[0];
            sums[4u * r4 + 1u] += right * left[1];
            sums[4u * r4 + 2u] += right * left[2];
            sums[4u * r4 + 3u] += right * left[3];
        }
    }
    for (var r = 0u; r < TILE_ROWS; r++) {
        part_finish(4u * i4 + r, j4, sums[r]);
    }
}
