// The left operand is stored across the depth: its lines are depths, and differ from one call to the next.
fn part_left_lines(i4: u32) -> vec4<u32> {
    return vec4(0u);
}

// Rows 4 i4 … 4 i4 + 3 at depths 4 p4 … 4 p4 + 3: a column of the matrix is a row of the operand.
fn part_left(lines: vec4<u32>, i4: u32, p4: u32) -> mat4x4<f32> {
    return transpose(mat4x4(
        part_left_at(part_left_line(4u * p4), i4),
        part_left_at(part_left_line(4u * p4 + 1u), i4),
        part_left_at(part_left_line(4u * p4 + 2u), i4),
        part_left_at(part_left_line(4u * p4 + 3u), i4),
    ));
}
