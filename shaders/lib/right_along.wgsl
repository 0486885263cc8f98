// The right operand is stored along the depth: its lines are columns of the product.

// Where the lines of columns 4 j4 … 4 j4 + 3 start.
fn part_right_lines(j4: u32) -> vec4<u32> {
    return vec4(
        part_right_line(4u * j4),
        part_right_line(4u * j4 + 1u),
        part_right_line(4u * j4 + 2u),
        part_right_line(4u * j4 + 3u),
    );
}

// Depths 4 p4 … 4 p4 + 3 of these columns: a column of the matrix is a depth.
fn part_right(lines: vec4<u32>, p4: u32, j4: u32) -> mat4x4<f32> {
    return transpose(mat4x4(
        part_right_at(lines.x, p4),
        part_right_at(lines.y, p4),
        part_right_at(lines.z, p4),
        part_right_at(lines.w, p4),
    ));
}
