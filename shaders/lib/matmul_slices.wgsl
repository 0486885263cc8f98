// c[i, j] = Σ_p left[i, p] right[p, j], on a GPU that has few tiles to do, so that a long sum would be waited for: the
// invocations of a workgroup share the depth. Each sums up every sixteenth four depths of 4 × 4 outputs, straight from
// memory; the sums of the 16 slices are added in shared memory, always in the same order.
fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let cell = lane % CELLS;
    let slice = lane / CELLS;
    let i4 = tile_row * (TILE_ROWS / 4u);
    let j4 = tile_column * (TILE_COLUMNS / 4u);
    let row4 = i4 + cell / (TILE_COLUMNS / 4u);
    let column4 = j4 + cell % (TILE_COLUMNS / 4u);
    let left_lines = part_left_lines(row4);
    let right_lines = part_right_lines(column4);
    var sums: array<vec4<f32>, 4>;
    for (var p4 = slice; p4 < depth4; p4 += SLICES) {
        let left = part_left(left_lines, row4, p4);
        let right = part_right(right_lines, p4, column4);
        sums[0] += right * left[0];
        sums[1] += right * left[1];
        sums[2] += right * left[2];
        sums[3] += right * left[3];
    }
    // Neighbours write next to each other, and read so below.
    let place = slice * (4u * CELLS) + cell;
    shared_memory[place] = sums[0];
    shared_memory[place + CELLS] = sums[1];
    shared_memory[place + 2u * CELLS] = sums[2];
    shared_memory[place + 3u * CELLS] = sums[3];
    workgroupBarrier();
    let i = 4u * row4 + slice;
    if (slice < 4u && i < part_rows()) {
        var sum = vec4(0.0);
        for (var s = 0u; s < SLICES; s++) {
            sum += shared_memory[s * (4u * CELLS) + lane];
        }
        part_finish(i, column4, sum);
    }
}
