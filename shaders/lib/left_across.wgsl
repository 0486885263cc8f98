// The left operand is stored across the depth: its lines are depths.

// Rows 4 i4 … 4 i4 + 3 at depths 4 p4 … 4 p4 + 3: a column of the matrix is a row of the operand.
fn part_left(i4: u32, p4: u32) -> mat4x4<f32> {
    return transpose(mat4x4(
        part_left_at(part_left_line(4u * p4), i4),
        part_left_at(part_left_line(4u * p4 + 1u), i4),
        part_left_at(part_left_line(4u * p4 + 2u), i4),
        part_left_at(part_left_line(4u * p4 + 3u), i4),
    ));
}
