// f(z) = max(z, 0); f'(0) = 0.
fn activate(z: vec4<f32>) -> vec4<f32> {
    // No max: it may swallow NaN.
    return select(z, vec4(0.0), z < vec4(0.0));
}

// f' from the saved f(z).
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), vec4(1.0), saved > vec4(0.0));
}
