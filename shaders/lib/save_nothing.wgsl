// The derivative can be had from y.
fn save(i: u32, z: vec4<f32>) {
}
