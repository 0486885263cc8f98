// dx[m, k] = Σ_n dz[m, n] w[n, k] · f'(saved[m, k]) · keep(m, k): the gradient of the sums below.
@group(0) @binding(5) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> saved: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dx: array<vec4<f32>>;

const HAS_BELOW: bool = true;

fn below_row(m: u32) -> u32 {
    return 4u * min(m, p.count - 1u) * p.z_pitch;
}

fn below_left(row: u32, n4: u32) -> vec4<f32> {
    let i = row + 4u * n4;
    return vec4(dz[i], dz[i + 1u], dz[i + 2u], dz[i + 3u]);
}

// dz is zero in its padding, so any row may stand in for those that w has not.
fn below_right(n4: u32, k4: u32) -> mat4x4<f32> {
    let k = min(k4, p.x_pitch - 1u);
    let last = p.units - 1u;
    return mat4x4(
        w[min(4u * n4, last) * p.x_pitch + k],
        w[min(4u * n4 + 1u, last) * p.x_pitch + k],
        w[min(4u * n4 + 2u, last) * p.x_pitch + k],
        w[min(4u * n4 + 3u, last) * p.x_pitch + k],
    );
}

fn below_finish(m: u32, k4: u32, sum: vec4<f32>) {
    if (m < p.count && k4 < p.x_pitch) {
        let i = m * p.x_pitch + k4;
        let before = saved[i];
        let derivative = activate_derivative(saved_value(before, before, bitcast<f32>(p.drop.w)));
        dx[i] = keep_columns(sum * derivative * keep(m, k4), k4, p.features);
    }
}
