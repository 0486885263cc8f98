// The gradient of the sums below.
@group(0) @binding(6) var<storage, read> saved: array<Memory4>;
@group(0) @binding(7) var<storage, read_write> dx: array<Memory4>;

fn below_finish(m: u32, c4: u32, gradient: vec4<f32>) {
    let i = m * p.x_pitch + c4;
    let before = loaded(saved[i]);
    let derivative = activate_derivative(saved_value(before, before, bitcast<f32>(p.drop.w)));
    dx[i] = stored(keep_columns(gradient * derivative * keep(m, c4), c4, p.features));
}
