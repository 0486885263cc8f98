// f(z) = z for z > 0, else e^z - 1 (Clevert et al. 2016, alpha = 1); f' = f + 1 below 0.
fn activate(z: vec4<f32>) -> vec4<f32> {
    // NaN fails the test and stays; alone, min may swallow it.
    return select(z, exp(min(z, vec4(0.0))) - 1.0, z <= vec4(0.0));
}

// f' from the saved f(z).
fn activate_derivative(saved: vec4<f32>) -> vec4<f32> {
    return select(saved + 1.0, vec4(1.0), saved > vec4(0.0));
}
