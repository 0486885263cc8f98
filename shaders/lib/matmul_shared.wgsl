// c[i, j] = Σ_p left[i, p] right[p, j], on a GPU: 32 × 32 outputs a workgroup, 4 × 4 an invocation, the operands
// brought to shared memory 16 deep at a time. Rows are padded by one element against bank conflicts.

var<workgroup> part_left_tile: array<array<f32, 17>, 32>;
var<workgroup> part_right_tile: array<array<vec4<f32>, 9>, 16>;

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i = tile_row * TILE_ROWS;
    let j4 = tile_column * (TILE_COLUMNS / 4u);
    let row = (lane / 8u) * 4u;
    let column4 = lane % 8u;
    var sums: array<vec4<f32>, 4>;
    for (var start4 = 0u; start4 < depth4; start4 += 4u) {
        for (var part = 0u; part < 2u; part++) {
            let r = lane / 4u + part * 16u;
            let p = lane % 4u;
            var left = vec4(0.0);
            if (start4 + p < depth4) {
                left = part_left(part_row(i + r), start4 + p);
            }
            for (var q = 0u; q < 4u; q++) {
                part_left_tile[r][p * 4u + q] = left[q];
            }
        }
        if (lane < 32u) {
            let p = lane / 8u;
            var right = mat4x4<f32>();
            if (start4 + p < depth4) {
                right = part_right(start4 + p, j4 + column4);
            }
            for (var q = 0u; q < 4u; q++) {
                part_right_tile[p * 4u + q][column4] = right[q];
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
        part_finish(i + row + r, j4 + column4, sums[r]);
    }
}
