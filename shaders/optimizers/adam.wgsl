// m ← b1 m + (1 - b1) g;  q ← b2 q + (1 - b2) g²;  w ← w - lr/(1 - b1^t) m / (√q / √(1 - b2^t) + epsilon). Kingma & Ba 2015.
// constants: b1, 1 - b1, b2, 1 - b2, epsilon; corrections: 1 / (1 - b1^t), 1 / √(1 - b2^t)
@group(0) @binding(3) var<storage, read_write> means: array<Memory4>;
@group(0) @binding(4) var<storage, read_write> squares: array<Memory4>;

fn optimize(i: u32, w: vec4<f32>, g: vec4<f32>, is_matrix: bool) -> vec4<f32> {
    let m = constant(0) * loaded(means[i]) + constant(1) * g;
    means[i] = stored(m);
    let q = constant(2) * loaded(squares[i]) + constant(3) * g * g;
    squares[i] = stored(q);
    return w - p.learning_rate * p.correction1 * m / (sqrt(q) * p.correction2 + constant(4));
}
