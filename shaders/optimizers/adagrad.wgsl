// q ← q + g²;  w ← w - lr g / (√q + epsilon). Duchi et al. 2011.
// constants: epsilon
@group(0) @binding(3) var<storage, read_write> squares: array<Memory4>;

fn optimize(i: u32, w: vec4<f32>, g: vec4<f32>, is_matrix: bool) -> vec4<f32> {
    let q = loaded(squares[i]) + g * g;
    squares[i] = stored(q);
    return w - p.learning_rate * g / (sqrt(q) + constant(0));
}
