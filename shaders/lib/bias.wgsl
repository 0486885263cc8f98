@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;

fn bias_at(n4: u32) -> vec4<f32> {
    return bias[n4];
}
