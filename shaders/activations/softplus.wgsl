// f(z) = log(1 + e^z) = max(z, 0) + log(1 + e^-|z|); f' = 1 - e^-f.
fn activate(z: vec4<f32>) -> vec4<f32> {
    return max(z, vec4(0.0)) + log(1.0 + exp(-abs(z)));
}

// f' from the saved f(z).
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    return 1.0 - exp(-min(saved, vec4(88.0)));
}
