// y[m, k] = x[m, k] · (0 or 1/(1 - rate))
// x, y: [count, features]; pitch in vec4s
struct Params {
    count: u32,
    counter: u32,
    x_pitch: u32,
    padding: u32,
    drop: vec4<u32>,
}
var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<Memory4>;
@group(0) @binding(1) var<storage, read_write> y: array<Memory4>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i < p.count * p.x_pitch) {
        y[i] = stored(loaded(x[i]) * keep(i / p.x_pitch, i % p.x_pitch));
    }
}
