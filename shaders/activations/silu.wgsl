// f(z) = z s with s = 1 / (1 + e^-z) (Elfwing et al. 2018); f' = s (1 + z (1 - s)).
fn activate(z: vec4<f32>) -> vec4<f32> {
    return z / (1.0 + exp(-clamp(z, vec4(-88.0), vec4(88.0))));
}

// f' from the saved z.
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    let s = 1.0 / (1.0 + exp(-clamp(saved, vec4(-88.0), vec4(88.0))));
    return s * (1.0 + saved * (1.0 - s));
}
