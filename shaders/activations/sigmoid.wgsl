// f(z) = 1 / (1 + e^-z); f' = f (1 - f). Beyond ±88 f32 cannot tell f from 0 or 1.
fn activate(z: vec4<f32>) -> vec4<f32> {
    // No clamp: it may swallow NaN.
    let above = select(z, vec4(-88.0), z < vec4(-88.0));
    return 1.0 / (1.0 + exp(-select(above, vec4(88.0), above > vec4(88.0))));
}

// f' from the saved f(z).
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    return saved * (1.0 - saved);
}
