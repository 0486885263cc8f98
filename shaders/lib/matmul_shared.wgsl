// c[i, j] = Σ_p left[i, p] right[p, j], on a GPU: the operands are brought to shared memory 16 deep at a time, in blocks
// of 4 × 4; each invocation keeps ROWS × 4 COLUMNS4 outputs in registers.
fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i4 = tile_row * (TILE_ROWS / 4u);
    let j4 = tile_column * (TILE_COLUMNS / 4u);
    let row4 = lane / THREADS_ACROSS * (ROWS / 4u);
    let column4 = lane % THREADS_ACROSS;
    var sums: array<vec4<f32>, ROWS * COLUMNS4>;
    for (var start4 = 0u; start4 < depth4; start4 += 4u) {
        for (var block = lane; block < TILE_ROWS + TILE_COLUMNS; block += WORKGROUP) {
            let p4 = block % 4u;
            let q4 = block / 4u;
            if (q4 < TILE_ROWS / 4u) {
                var left = mat4x4<f32>();
                if (start4 + p4 < depth4) {
                    left = transpose(part_left(i4 + q4, start4 + p4));
                }
                left_tile[4u * p4][q4] = left[0];
                left_tile[4u * p4 + 1u][q4] = left[1];
                left_tile[4u * p4 + 2u][q4] = left[2];
                left_tile[4u * p4 + 3u][q4] = left[3];
            } else {
                let c4 = q4 - TILE_ROWS / 4u;
                var right = mat4x4<f32>();
                if (start4 + p4 < depth4) {
                    right = part_right(part_right_lines(j4 + c4), start4 + p4, j4 + c4);
                }
                right_tile[4u * p4][c4] = right[0];
                right_tile[4u * p4 + 1u][c4] = right[1];
                right_tile[4u * p4 + 2u][c4] = right[2];
                right_tile[4u * p4 + 3u][c4] = right[3];
            }
        }
        workgroupBarrier();
        for (var p = 0u; p < 16u; p++) {
            for (var r4 = 0u; r4 < ROWS / 4u; r4++) {
                let left = left_tile[p][row4 + r4];
                for (var c = 0u; c < COLUMNS4; c++) {
                    let right = right_tile[p][column4 + c * THREADS_ACROSS];
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
    for (var r = 0u; r < ROWS; r++) {
        let i = 4u * (i4 + row4) + r;
        if (i < part_rows()) {
            for (var c = 0u; c < COLUMNS4; c++) {
                part_finish(i, j4 + column4 + c * THREADS_ACROSS, sums[r * COLUMNS4 + c]);
            }
        }
    }
}
