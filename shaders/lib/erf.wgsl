// The error function, absolute error below 1.5e-7: Abramowitz & Stegun (1964), formula 7.1.26.
fn erf(x: vec4<f32>) -> vec4<f32> {
    let a = min(abs(x), vec4(6.0));
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - polynomial * exp(-a * a));
}
