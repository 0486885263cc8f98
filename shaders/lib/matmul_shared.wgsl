// c[i, j] = Σ_p left[i, p] right[p, j], on a GPU: 32 × 32 outputs a workgroup, 4 × 4 an invocation, the operands
// brought to shared memory 16 deep at a time, left by one half of the invocations and right by the other. Rows are
// padded by one element against bank conflicts.
var<workgroup> part_left_tile: array<array<f32, 17>, 32>;
var<workgroup> part_right_tile: array<array<vec4<f32>, 9>, 16>;

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i4 = tile_row * (TILE_ROWS / 4u);
    let j4 = tile_column * (TILE_COLUMNS / 4u);
    let row = (lane / 8u) * 4u;
    let column4 = lane % 8u;
    let p4 = (lane % 32u) / 8u;
    let rows = part_rows(i4 + column4);
    var sums: array<vec4<f32>, 4>;
    for (var start4 = 0u; start4 < depth4; start4 += 4u) {
        var operand = mat4x4<f32>();
        if (start4 + p4 < depth4) {
            if (lane < 32u) {
                operand = part_left(rows, start4 + p4);
            } else {
                operand = part_right(start4 + p4, j4 + column4);
            }
        }
        for (var q = 0u; q < 4u; q++) {
            if (lane < 32u) {
                for (var p = 0u; p < 4u; p++) {
                    part_left_tile[column4 * 4u + q][p4 * 4u + p] = operand[q][p];
                }
            } else {
                part_right_tile[p4 * 4u + q][column4] = operand[q];
            }
        }
        workgroupBarrier();
        for (var p = 0u; p < 16u; p++) {
            let right = part_right_tile[p][column4];
            for (var r = 0u; r < 4u; r++) {
                sums[r] += part_left_tile[row + r][p] * right;
            }
        }
        workgroupBarrier();
    }
    for (var r = 0u; r < 4u; r++) {
        part_finish(4u * i4 + row + r, j4 + column4, sums[r]);
    }
}
