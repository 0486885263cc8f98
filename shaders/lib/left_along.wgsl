// The left operand is stored along the depth: its lines are rows of the product.

// Rows 4 i4 … 4 i4 + 3 at depths 4 p4 … 4 p4 + 3: a column of the matrix is a row of the operand.
fn part_left(i4: u32, p4: u32) -> mat4x4<f32> {
    return mat4x4(
        part_left_at(part_left_line(4u * i4), p4),
        part_left_at(part_left_line(4u * i4 + 1u), p4),
        part_left_at(part_left_line(4u * i4 + 2u), p4),
        part_left_at(part_left_line(4u * i4 + 3u), p4),
    );
}
