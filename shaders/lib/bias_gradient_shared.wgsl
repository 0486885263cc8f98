// db[n] = Σ_m dz[m, n], on a GPU, by the tiles of the first column: the invocations share the rows, four units each; their
// sums are added in shared memory, always in the same order.
@group(0) @binding(4) var<storage, read_write> db: array<Memory4>;

fn bias_gradient(tile_row: u32, tile_column: u32, lane: u32) {
    if (tile_column != 0u) {
        return;
    }
    let units4 = TILE_ROWS / 4u;
    let parts = WORKGROUP / units4;
    let n4 = tile_row * units4 + lane % units4;
    var sum = vec4(0.0);
    if (n4 < p.z_pitch) {
        for (var m = lane / units4; m < p.count; m += parts) {
            sum += loaded(dz[m * p.z_pitch + n4]);
        }
    }
    // Others may still read there what the product left (matmul_slices.wgsl). On lavapipe, which runs them in order, it
    // would not show if this were missing.
    workgroupBarrier();
    shared_memory[lane] = sum;
    workgroupBarrier();
    if (lane < units4 && n4 < p.z_pitch) {
        var total = vec4(0.0);
        for (var part = 0u; part < parts; part++) {
            total += shared_memory[part * units4 + lane];
        }
        db[n4] = stored(keep_columns(total, n4, p.units));
    }
}
