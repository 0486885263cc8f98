// The left operand is stored along the depth: its lines are rows of the product.

// Where the lines of rows 4 i4 … 4 i4 + 3 start.
fn part_left_lines(i4: u32) -> vec4<u32> {
    return vec4(
        part_left_line(4u * i4),
        part_left_line(4u * i4 + 1u),
        part_left_line(4u * i4 + 2u),
        part_left_line(4u * i4 + 3u),
    );
}

// These rows at depths 4 p4 … 4 p4 + 3: a column of the matrix is a row of the operand.
fn part_left(lines: vec4<u32>, i4: u32, p4: u32) -> mat4x4<f32> {
    return mat4x4(
        part_left_at(lines.x, p4),
        part_left_at(lines.y, p4),
        part_left_at(lines.z, p4),
        part_left_at(lines.w, p4),
    );
}
