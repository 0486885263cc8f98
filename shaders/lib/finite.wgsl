// False for NaN and infinity. Bits, since WGSL may assume that neither occurs: min, max and clamp may swallow them.
fn is_finite(value: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(value) & vec4(0x7f800000u)) != vec4(0x7f800000u);
}
