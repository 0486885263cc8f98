// partials[offset + group] = Σ (g + penalty'(w))² over every 64th block of 64 vec4s, in a fixed order
// w, g: [length] vec4s, the first `matrices` of them weight matrices
struct Params {
    length: u32,
    matrices: u32,
    offset: u32,
    l1: f32,
    l2: f32,
}
var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> w: array<Memory4>;
@group(0) @binding(1) var<storage, read> g: array<Memory4>;
@group(0) @binding(2) var<storage, read_write> partials: array<Memory4>;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var sum = 0.0;
    for (var i = group.x * 64u + lane; i < p.length; i += groups.x * 64u) {
        let gradient = penalized(loaded(g[i]), loaded(w[i]), i < p.matrices);
        sum += dot(gradient, gradient);
    }
    sums[lane] = sum;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half /= 2u) {
        if (lane < half) {
            sums[lane] += sums[lane + half];
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        partials[p.offset + group.x] = stored(vec4(sums[0], 0.0, 0.0, 0.0));
    }
}
