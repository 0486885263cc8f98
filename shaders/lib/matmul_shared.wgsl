// c[i, j] = Σ_p left[i, p] right[p, j], on a GPU: the operands are brought to shared memory 16 deep at a time, in blocks
// of 4 × 4; each invocation keeps ROWS × 4 COLUMNS4 outputs in registers. In shared memory a line is a depth; within it,
// places are exchanged by depth (`^`), so that no two of eight neighbours meet in a bank, be it that they write to four
// lines or read from one.
fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i4 = tile_row * (TILE_ROWS / 4u);
    let j4 = tile_column * (TILE_COLUMNS / 4u);
    let row4 = (lane / THREADS_ACROSS) * (ROWS / 4u);
    let column4 = lane % THREADS_ACROSS;
    // The block of each operand that this invocation brings. Of a small tile the first half brings the left ones, the
    // second half the right ones.
    let block4 = lane % 4u;
    let left4 = (lane % TILE_ROWS) / 4u;
    let right4 = (lane % TILE_COLUMNS) / 4u;
    let left_lines = part_left_lines(i4 + left4);
    let right_lines = part_right_lines(j4 + right4);
    let left_place = 4u * block4 * (TILE_ROWS / 4u) + (left4 ^ (2u * block4));
    let right_place = 4u * TILE_ROWS + 4u * block4 * (TILE_COLUMNS / 4u) + (right4 ^ (2u * block4));
    var sums: array<vec4<f32>, ROWS * COLUMNS4>;
    for (var start4 = 0u; start4 < depth4; start4 += 4u) {
        let p4 = start4 + block4;
        if (lane < TILE_ROWS) {
            var left = mat4x4<f32>();
            if (p4 < depth4) {
                left = transpose(part_left(left_lines, i4 + left4, p4));
            }
            shared_memory[left_place] = left[0];
            shared_memory[left_place + TILE_ROWS / 4u] = left[1];
            shared_memory[left_place + 2u * (TILE_ROWS / 4u)] = left[2];
            shared_memory[left_place + 3u * (TILE_ROWS / 4u)] = left[3];
        }
        if (lane >= WORKGROUP - TILE_COLUMNS) {
            var right = mat4x4<f32>();
            if (p4 < depth4) {
                right = part_right(right_lines, p4, j4 + right4);
            }
            shared_memory[right_place] = right[0];
            shared_memory[right_place + TILE_COLUMNS / 4u] = right[1];
            shared_memory[right_place + 2u * (TILE_COLUMNS / 4u)] = right[2];
            shared_memory[right_place + 3u * (TILE_COLUMNS / 4u)] = right[3];
        }
        workgroupBarrier();
        for (var p = 0u; p < 16u; p++) {
            let exchange = 2u * (p / 4u);
            let left_line = p * (TILE_ROWS / 4u);
            let right_line = 4u * TILE_ROWS + p * (TILE_COLUMNS / 4u);
            for (var r4 = 0u; r4 < ROWS / 4u; r4++) {
                let left = shared_memory[left_line + ((row4 + r4) ^ exchange)];
                for (var c = 0u; c < COLUMNS4; c++) {
                    let right = shared_memory[right_line + ((column4 + c * THREADS_ACROSS) ^ exchange)];
                    let s = 4u * r4 * COLUMNS4 + c;
                    sums[s] += left.x * right;
                    sums[s + COLUMNS4] += left.y * right;
                    sums[s + 2u * COLUMNS4] += left.z * right;
                    sums[s + 3u * COLUMNS4] += left.w * right;
                }
            }
        }
        workgroupBarrier();
    }
    // No array index that is unknown when compiling, even if the long code that finishes an output is not unrolled, or all
    // sums would lie in memory: they move up.
    for (var r = 0u; r < ROWS; r++) {
        var row: array<vec4<f32>, COLUMNS4>;
        for (var c = 0u; c < COLUMNS4; c++) {
            row[c] = sums[c];
        }
        let i = 4u * (i4 + row4) + r;
        if (i < part_rows()) {
            for (var c = 0u; c < COLUMNS4; c++) {
                part_finish(i, j4 + column4 + c * THREADS_ACROSS, row[0]);
                for (var q = 0u; q < COLUMNS4 - 1u; q++) {
                    row[q] = row[q + 1u];
                }
            }
        }
        for (var q = 0u; q < (ROWS - 1u) * COLUMNS4; q++) {
            sums[q] = sums[q + COLUMNS4];
        }
    }
}
