// The right operand is stored across the depth. Where its lines start may itself take a load: each of four invocations
// finds one line and tells the others.
fn part_right_lines(j4: u32) -> vec4<u32> {
    return vec4(0u);
}

// Columns 4 j4 … 4 j4 + 3 at depths 4 p4 … 4 p4 + 3: a column of the matrix is a depth.
fn part_lane_right(lines: vec4<u32>, p4: u32, j4: u32, lane: u32) -> mat4x4<f32> {
    let line = part_right_line(4u * p4 + lane % 4u);
    let first = lane / 8u * 8u;
    return mat4x4(
        part_right_at(subgroupShuffle(line, first), j4),
        part_right_at(subgroupShuffle(line, first + 1u), j4),
        part_right_at(subgroupShuffle(line, first + 2u), j4),
        part_right_at(subgroupShuffle(line, first + 3u), j4),
    );
}
