// The left operand is stored across the depth: its lines are depths.
fn part_row_line(i: u32) -> u32 {
    return 0u;
}

// Depths 4 p4 … 4 p4 + 3 of row i.
fn part_row(line: u32, i: u32, p4: u32) -> vec4<f32> {
    return vec4(
        part_left_at(part_left_line(4u * p4), i / 4u)[i % 4u],
        part_left_at(part_left_line(4u * p4 + 1u), i / 4u)[i % 4u],
        part_left_at(part_left_line(4u * p4 + 2u), i / 4u)[i % 4u],
        part_left_at(part_left_line(4u * p4 + 3u), i / 4u)[i % 4u],
    );
}
