// c[i, j] = Σ_p left[i, p] right[p, j], on a GPU: 32 × 32 outputs a workgroup, 4 × 4 an invocation, the operands
// brought to shared memory 16 deep at a time. Rows are padded by one element against bank conflicts.

var<workgroup> part_left_tile: array<array<f32, 17>, 32>;
var<workgroup> part_right_tile: array<array<vec4<f32>, 9>, 16>;

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i = tile_row * TILE_ROWS;
    let j4 = tile_column * (TILE_COLUMNS / 4u);
    let row = (lane / 8u) * 4u;
    let column4 = lane % 8u;
    let right_lines = part_right_lines(j4 + column4);
    var sums: array<vec4<f32>, 4>;
    for (var start4 = 0u; start4 < depth4; start4 += 4u) {
        // Half of the invocations bring the left operand, half the right one.
        if (lane < 32u) {
            let p4 = lane % 4u;
            var left = mat4x4<f32>();
            if (start4 + p4 < depth4) {
                left = part_left(i / 4u + lane / 4u, start4 + p4);
            }
            for (var r = 0u; r < 4u; r++) {
                for (var q = 0u; q < 4u; q++) {
                    part_left_tile[lane / 4u * 4u + r][p4 * 4u + q] = left[r][q];
                }
            }
        } else {
            let p4 = lane / 8u - 4u;
            var right = mat4x4<f32>();
            if (start4 + p4 < depth4) {
                right = part_right(right_lines, start4 + p4, j4 + column4);
            }
            for (var q = 0u; q < 4u; q++) {
                part_right_tile[p4 * 4u + q][column4] = right[q];
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
        if (i + row + r < part_rows()) {
            part_finish(i + row + r, j4 + column4, sums[r]);
        }
    }
}
