// adam on w (1 - lr weight_decay); only weight matrices decay. Loshchilov & Hutter 2019.
// constants: b1, 1 - b1, b2, 1 - b2, epsilon, weight_decay; corrections as adam
@group(0) @binding(3) var<storage, read_write> means: array<Memory4>;
@group(0) @binding(4) var<storage, read_write> squares: array<Memory4>;

fn optimize(i: u32, w: vec4<f32>, g: vec4<f32>, is_matrix: bool) -> vec4<f32> {
    let shrink = select(1.0, 1.0 - p.learning_rate * constant(5), is_matrix);
    let m = constant(0) * loaded(means[i]) + constant(1) * g;
    means[i] = stored(m);
    let q = constant(2) * loaded(squares[i]) + constant(3) * g * g;
    squares[i] = stored(q);
    return w * shrink - p.learning_rate * p.correction1 * m / (sqrt(q) * p.correction2 + constant(4));
}
