// The derivative is had from z.
fn saved_value(y: vec4<f32>, z: vec4<f32>, unscale: f32) -> vec4<f32> {
    return z;
}
