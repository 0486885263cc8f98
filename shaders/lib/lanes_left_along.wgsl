// The left operand is stored along the depth: each of 8 invocations loads four depths of its own row.
fn part_lane_line(i: u32, lane: u32) -> u32 {
    return part_left_line(i + lane);
}

fn part_lane_load(line: u32, i: u32, p4: u32, lane: u32) -> vec4<f32> {
    return part_left_at(line, p4);
}

// Four depths of row i + r, from what the 8 invocations after `first` loaded.
fn part_lane_row(loaded: vec4<f32>, first: u32, r: u32) -> vec4<f32> {
    return subgroupShuffle(loaded, first + r);
}
