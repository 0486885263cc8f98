// v ← momentum v + g;  w ← w - lr (nesterov ? g + momentum v : v). Sutskever et al. 2013, as in PyTorch.
// constants: momentum, 1 if nesterov else 0
@group(0) @binding(3) var<storage, read_write> velocity: array<Memory4>;

fn optimize(i: u32, w: vec4<f32>, g: vec4<f32>, is_matrix: bool) -> vec4<f32> {
    let v = constant(0) * loaded(velocity[i]) + g;
    velocity[i] = stored(v);
    let direction = select(v, g + constant(0) * v, constant(1) > 0.0);
    return w - p.learning_rate * direction;
}
