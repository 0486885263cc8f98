// dx[m, k] = Σ_n dz[m, n] w[n, k] · f'(saved[m, k]) · keep(m, k): the gradient of the sums below.
@group(0) @binding(5) var<storage, read> w: array<Memory4>;
@group(0) @binding(6) var<storage, read> saved: array<Memory4>;
@group(0) @binding(7) var<storage, read_write> dx: array<Memory4>;

const HAS_BELOW: bool = true;

fn below_left_line(m: u32) -> u32 {
    return min(m, p.count - 1u) * p.z_pitch;
}

fn below_left_at(line: u32, n4: u32) -> vec4<f32> {
    return loaded(dz[line + n4]);
}

// dz is zero in its padding, so any row may stand in for those that w has not.
fn below_right_line(n: u32) -> u32 {
    return min(n, p.units - 1u) * p.x_pitch;
}

fn below_right_at(line: u32, k4: u32) -> vec4<f32> {
    return loaded(w[line + min(k4, p.x_pitch - 1u)]);
}

fn below_rows() -> u32 {
    return p.count;
}

fn below_finish(m: u32, k4: u32, sum: vec4<f32>) {
    if (k4 < p.x_pitch) {
        let i = m * p.x_pitch + k4;
        let before = loaded(saved[i]);
        let derivative = activate_derivative(saved_value(before, before, bitcast<f32>(p.drop.w)));
        dx[i] = stored(keep_columns(sum * derivative * keep(m, k4), k4, p.features));
    }
}
