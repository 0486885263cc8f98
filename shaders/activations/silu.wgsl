// f(z) = z s with s = 1 / (1 + e^-z) (Elfwing et al. 2018); f' = s (1 + z (1 - s)). With e = e^-|z| nothing overflows.
fn activate(z: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(z));
    return z * select(e, vec4(1.0), z > vec4(0.0)) / (1.0 + e);
}

// f' from the saved z.
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(saved));
    let s = select(e, vec4(1.0), saved > vec4(0.0)) / (1.0 + e);
    return s * (1.0 + saved * (1.0 - s));
}
