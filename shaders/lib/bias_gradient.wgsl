// db[n] = Σ_m dz[m, n], for four units at once; dz is zero in its padding, and so is db.
@group(0) @binding(4) var<storage, read_write> db: array<vec4<f32>>;

fn bias_gradient(n4: u32) {
    var sum = vec4(0.0);
    for (var m = 0u; m < p.count; m++) {
        sum += dz[m * p.z_pitch + n4];
    }
    db[n4] = sum;
}
