// The right operand is stored across the depth: its lines are depths, and differ from one call to the next.
fn part_right_lines(j4: u32) -> vec4<u32> {
    return vec4(0u);
}

// Columns 4 j4 … 4 j4 + 3 at depths 4 p4 … 4 p4 + 3: a column of the matrix is a depth.
fn part_right(lines: vec4<u32>, p4: u32, j4: u32) -> mat4x4<f32> {
    return mat4x4(
        part_right_at(part_right_line(4u * p4), j4),
        part_right_at(part_right_line(4u * p4 + 1u), j4),
        part_right_at(part_right_line(4u * p4 + 2u), j4),
        part_right_at(part_right_line(4u * p4 + 3u), j4),
    );
}
