// output[m, k] = x[order[first + m] - start, k] for the rows start .. end, which this block of the data set holds
// x: [end - start, features]  output: [count, features]; pitch in vec4s
struct Params {
    count: u32,
    first: u32,
    x_pitch: u32,
    x_scale: f32,
    x_shift: f32,
    start: u32,
    end: u32,
    features: u32,
}
var<immediate> p: Params;
@group(0) @binding(2) var<storage, read_write> output: array<Memory4>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= p.count * p.x_pitch) {
        return;
    }
    let row = order[p.first + i / p.x_pitch];
    if (row >= p.start && row < p.end) {
        let value = input_at((row - p.start) * p.x_pitch, i % p.x_pitch);
        output[i] = stored(keep_columns(value, i % p.x_pitch, p.features));
    }
}
