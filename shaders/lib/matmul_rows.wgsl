// c[i, j] = Σ_p left[i, p] right[p, j] for small matrices: each invocation keeps one row of 4 neighbouring columns. The
// code is short, since all ops of a network may stand in one kernel, and needs nothing of its workgroup.

fn part_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
    let i = tile_row * TILE_ROWS + lane;
    let j4 = tile_column;
    let left_line = part_row_line(i);
    let right_lines = part_right_lines(j4);
    var sum = vec4(0.0);
    for (var p4 = 0u; p4 < depth4; p4++) {
        sum += part_right(right_lines, p4, j4) * part_row(left_line, i, p4);
    }
    if (i < part_rows()) {
        part_finish(i, j4, sum);
    }
}
