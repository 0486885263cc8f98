// The left operand is stored across the depth: each of 8 invocations loads four rows of one of four depths.
fn part_lane_line(i: u32, lane: u32) -> u32 {
    return 0u;
}

fn part_lane_load(line: u32, i: u32, p4: u32, lane: u32) -> vec4<f32> {
    return part_left_at(part_left_line(4u * p4 + lane % 4u), i / 4u + lane / 4u);
}

// Four depths of row i + r, from what the 8 invocations after `first` loaded.
fn part_lane_row(loaded: vec4<f32>, first: u32, r: u32) -> vec4<f32> {
    let value = loaded[r % 4u];
    let depth = first + 4u * (r / 4u);
    return vec4(
        subgroupShuffle(value, depth),
        subgroupShuffle(value, depth + 1u),
        subgroupShuffle(value, depth + 2u),
        subgroupShuffle(value, depth + 3u),
    );
}
