// f(z) = z.
fn activate(z: vec4<f32>) -> vec4<f32> {
    return z;
}

// f' from the saved f(z).
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    return vec4(1.0);
}
