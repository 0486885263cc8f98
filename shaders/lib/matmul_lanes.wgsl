// c[i, j] = Σ_p left[i, p] right[p, j], on a processor without fast shared memory: each invocation sums up 16 or 32 rows
// of 4 neighbouring columns; the 8 invocations of a workgroup lie side by side along the columns. What one loads of the
// left operand it hands to the others: on lavapipe a load of 8 vec4s costs as much as 25 multiply-adds of 8 numbers, a
// shuffle about one. The shuffle's source is no constant on purpose: lavapipe makes a loop of that.

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i = tile_row * TILE_ROWS;
    let j4 = tile_column * (TILE_COLUMNS / 4u) + lane;
    let first = lane / 8u * 8u;
    let right_lines = part_right_lines(j4);
    let line0 = part_lane_line(i + 0u, lane);
    let line1 = part_lane_line(i + 8u, lane);
    let line2 = part_lane_line(i + 16u, lane);
    let line3 = part_lane_line(i + 24u, lane);
    var sums: array<vec4<f32>, 32>;
    for (var p4 = 0u; p4 < depth4; p4++) {
        let right = part_lane_right(right_lines, p4, j4, lane);
        let loaded0 = part_lane_load(line0, i + 0u, p4, lane);
        let loaded1 = part_lane_load(line1, i + 8u, p4, lane);
        sums[0] += right * part_lane_row(loaded0, first, 0u);
        sums[1] += right * part_lane_row(loaded0, first, 1u);
        sums[2] += right * part_lane_row(loaded0, first, 2u);
        sums[3] += right * part_lane_row(loaded0, first, 3u);
        sums[4] += right * part_lane_row(loaded0, first, 4u);
        sums[5] += right * part_lane_row(loaded0, first, 5u);
        sums[6] += right * part_lane_row(loaded0, first, 6u);
        sums[7] += right * part_lane_row(loaded0, first, 7u);
        sums[8] += right * part_lane_row(loaded1, first, 0u);
        sums[9] += right * part_lane_row(loaded1, first, 1u);
        sums[10] += right * part_lane_row(loaded1, first, 2u);
        sums[11] += right * part_lane_row(loaded1, first, 3u);
        sums[12] += right * part_lane_row(loaded1, first, 4u);
        sums[13] += right * part_lane_row(loaded1, first, 5u);
        sums[14] += right * part_lane_row(loaded1, first, 6u);
        sums[15] += right * part_lane_row(loaded1, first, 7u);
        if (TILE_ROWS == 32u) {
            let loaded2 = part_lane_load(line2, i + 16u, p4, lane);
            let loaded3 = part_lane_load(line3, i + 24u, p4, lane);
            sums[16] += right * part_lane_row(loaded2, first, 0u);
            sums[17] += right * part_lane_row(loaded2, first, 1u);
            sums[18] += right * part_lane_row(loaded2, first, 2u);
            sums[19] += right * part_lane_row(loaded2, first, 3u);
            sums[20] += right * part_lane_row(loaded2, first, 4u);
            sums[21] += right * part_lane_row(loaded2, first, 5u);
            sums[22] += right * part_lane_row(loaded2, first, 6u);
            sums[23] += right * part_lane_row(loaded2, first, 7u);
            sums[24] += right * part_lane_row(loaded3, first, 0u);
            sums[25] += right * part_lane_row(loaded3, first, 1u);
            sums[26] += right * part_lane_row(loaded3, first, 2u);
            sums[27] += right * part_lane_row(loaded3, first, 3u);
            sums[28] += right * part_lane_row(loaded3, first, 4u);
            sums[29] += right * part_lane_row(loaded3, first, 5u);
            sums[30] += right * part_lane_row(loaded3, first, 6u);
            sums[31] += right * part_lane_row(loaded3, first, 7u);
        }
    }
    // One copy of the code that finishes a row, and no array index that is unknown when compiling: the sums move up.
    let rows = min(TILE_ROWS, part_rows() - i);
    for (var r = 0u; r < rows; r++) {
        part_finish(i + r, j4, sums[0]);
        for (var q = 0u; q < TILE_ROWS - 1u; q++) {
            sums[q] = sums[q + 1u];
        }
    }
}
