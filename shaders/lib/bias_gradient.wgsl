// db[n] = Σ_m dz[m, n]
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

fn bias_gradient(n: u32) {
    var sum = 0.0;
    for (var m = 0u; m < p.count; m++) {
        sum += dz[4u * m * p.z_pitch + n];
    }
    db[n] = sum;
}
