// c[i, j] = Σ_p left[i, p] right[p, j], on a processor without fast shared memory: each invocation keeps 16 rows of 4
// neighbouring columns in registers; the 8 invocations of a workgroup lie side by side along the columns. Each loads
// the left operand of two rows only and hands it to the others: on lavapipe a load costs as much as ten multiplications,
// a broadcast within the subgroup about one.

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i = tile_row * TILE_ROWS;
    let j4 = tile_column * (TILE_COLUMNS / 4u) + lane;
    let low_row = part_row(i + lane);
    let high_row = part_row(i + 8u + lane);
    var sums: array<vec4<f32>, 16>;
    for (var p4 = 0u; p4 < depth4; p4++) {
        let right = part_right(p4, j4);
        let low = part_left(low_row, p4);
        let high = part_left(high_row, p4);
        sums[0] += right * subgroupBroadcast(low, 0u);
        sums[1] += right * subgroupBroadcast(low, 1u);
        sums[2] += right * subgroupBroadcast(low, 2u);
        sums[3] += right * subgroupBroadcast(low, 3u);
        sums[4] += right * subgroupBroadcast(low, 4u);
        sums[5] += right * subgroupBroadcast(low, 5u);
        sums[6] += right * subgroupBroadcast(low, 6u);
        sums[7] += right * subgroupBroadcast(low, 7u);
        sums[8] += right * subgroupBroadcast(high, 0u);
        sums[9] += right * subgroupBroadcast(high, 1u);
        sums[10] += right * subgroupBroadcast(high, 2u);
        sums[11] += right * subgroupBroadcast(high, 3u);
        sums[12] += right * subgroupBroadcast(high, 4u);
        sums[13] += right * subgroupBroadcast(high, 5u);
        sums[14] += right * subgroupBroadcast(high, 6u);
        sums[15] += right * subgroupBroadcast(high, 7u);
    }
    for (var r = 0u; r < 16u; r++) {
        part_finish(i + r, j4, sums[r]);
    }
}
