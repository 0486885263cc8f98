// f(z) = z Φ(z), exact, with Φ(z) = (1 + erf(z / √2)) / 2 (Hendrycks & Gimpel 2016); f' = Φ(z) + z φ(z).
fn activate(z: vec4<f32>) -> vec4<f32> {
    return 0.5 * z * (1.0 + erf(z * 0.70710678));
}

// f' from the saved z.
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    let density = 0.39894228 * exp(-0.5 * min(saved * saved, vec4(170.0)));
    return 0.5 * (1.0 + erf(saved * 0.70710678)) + saved * density;
}
