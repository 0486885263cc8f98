// f(z) = z for z > 0, else 0.01 z.
fn activate(z: vec4<f32>) -> vec4<f32> {
    return select(0.01 * z, z, z > vec4(0.0));
}

// f' from the saved f(z).
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.01), vec4(1.0), saved > vec4(0.0));
}
