// The left operand is stored along the depth: its lines are rows of the product.
fn part_row_line(i: u32) -> u32 {
    return part_left_line(i);
}

// Depths 4 p4 … 4 p4 + 3 of row i.
fn part_row(line: u32, i: u32, p4: u32) -> vec4<f32> {
    return part_left_at(line, p4);
}
