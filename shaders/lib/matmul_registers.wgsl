// c[i, j] = Σ_p left[i, p] right[p, j], on a processor without fast shared memory: each invocation keeps 16 rows of 4
// neighbouring columns in registers; the 8 invocations of a workgroup lie side by side along the columns.

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i = tile_row * TILE_ROWS;
    let j4 = tile_column * (TILE_COLUMNS / 4u) + lane;
    let right_lines = part_right_lines(j4);
    var sums: array<vec4<f32>, 16>;
    for (var p4 = 0u; p4 < depth4; p4++) {
        let right = part_right(right_lines, p4, j4);
        for (var r4 = 0u; r4 < 4u; r4++) {
            let left = part_left(part_left_lines(i / 4u + r4), i / 4u + r4, p4);
            sums[4u * r4] += right * left[0];
            sums[4u * r4 + 1u] += right * left[1];
            sums[4u * r4 + 2u] += right * left[2];
            sums[4u * r4 + 3u] += right * left[3];
        }
    }
    // One copy of the code that finishes a row, and no array index that is unknown when compiling: the sums move up.
    let rows = min(TILE_ROWS, part_rows() - i);
    for (var r = 0u; r < rows; r++) {
        part_finish(i + r, j4, sums[0]);
        for (var q = 0u; q < 15u; q++) {
            sums[q] = sums[q + 1u];
        }
    }
}
