// w ← optimize(w, clip(g + penalty'(w)))
// w, g and the optimizer's slots: [length] vec4s of one flat layout, the first `matrices` of them weight matrices
struct Params {
    length: u32,
    matrices: u32,
    partials: u32,
    clip_norm: f32,
    clip_value: f32,
    l1: f32,
    l2: f32,
    learning_rate: f32,
    correction1: f32,
    correction2: f32,
    padding: vec2<u32>,
    constants: array<vec4<f32>, 2>,
}
var<immediate> p: Params;
@group(0) @binding(0) var<storage, read_write> w: array<Memory4>;
@group(0) @binding(1) var<storage, read> g: array<Memory4>;

fn constant(i: u32) -> f32 {
    return p.constants[i / 4u][i % 4u];
}

// Infinity is clipped, as by torch.nn.utils.clip_grad_value_; NaN is to be seen, and clamp may swallow it: hence the bits.
fn clipped(gradient: vec4<f32>) -> vec4<f32> {
    if (p.clip_value == 0.0) {
        return gradient;
    }
    let is_nan = (bitcast<vec4<u32>>(gradient) & vec4(0x7fffffffu)) > vec4(0x7f800000u);
    return select(clamp(gradient, vec4(-p.clip_value), vec4(p.clip_value)), gradient, is_nan);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if (i >= p.length) {
        return;
    }
    let is_matrix = i < p.matrices;
    let weight = loaded(w[i]);
    let whole = penalized(loaded(g[i]), weight, is_matrix);
    // Padding stays zero, even if the factor is NaN.
    let gradient = select(whole * shrink(), whole, whole == vec4(0.0));
    let kept = clipped(gradient);
    w[i] = stored(optimize(i, weight, kept, is_matrix));
}
