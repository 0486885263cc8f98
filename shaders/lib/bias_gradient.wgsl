// db[n] = Σ_m dz[m, n], by the tiles of the first column: one invocation a unit.
@group(0) @binding(4) var<storage, read_write> db: array<f32>;

fn bias_gradient(tile_row: u32, tile_column: u32, lane: u32) {
    if (tile_column != 0u) {
        return;
    }
    for (var n = tile_row * TILE_ROWS + lane; n < min((tile_row + 1u) * TILE_ROWS, p.units); n += WORKGROUP) {
        var sum = 0.0;
        for (var m = 0u; m < p.count; m++) {
            sum += dz[4u * m * p.z_pitch + n];
        }
        db[n] = sum;
    }
}
