fn bias_at(n4: u32) -> vec4<f32> {
    return vec4(0.0);
}
