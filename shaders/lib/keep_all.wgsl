// No dropout.
fn keep(row: u32, column4: u32) -> vec4<f32> {
    return vec4(1.0);
}
