// q ← alpha q + (1 - alpha) g²;  a ← alpha a + (1 - alpha) g;  v ← momentum v + g / (√(q - [centered] a²) + epsilon);
// w ← w - lr v. Hinton 2012, Graves 2013, as in PyTorch.
// constants: alpha, 1 - alpha, epsilon, momentum, 1 if centered else 0
@group(0) @binding(3) var<storage, read_write> squares: array<Memory4>;
@group(0) @binding(4) var<storage, read_write> means: array<Memory4>;
@group(0) @binding(5) var<storage, read_write> velocity: array<Memory4>;

fn optimize(i: u32, w: vec4<f32>, g: vec4<f32>, is_matrix: bool) -> vec4<f32> {
    let q = constant(0) * loaded(squares[i]) + constant(1) * g * g;
    squares[i] = stored(q);
    let a = constant(0) * loaded(means[i]) + constant(1) * g;
    means[i] = stored(a);
    let spread = sqrt(max(q - constant(4) * a * a, vec4(0.0))) + constant(2);
    let v = constant(3) * loaded(velocity[i]) + g / spread;
    velocity[i] = stored(v);
    return w - p.learning_rate * v;
}
