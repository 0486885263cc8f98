@group(0) @binding(4) var<storage, read> bias: array<Memory4>;

fn bias_at(n4: u32) -> vec4<f32> {
    return loaded(bias[n4]);
}
