// db[n] = Σ_m dz[m, n], by the tiles of the first column: one invocation four units.
@group(0) @binding(4) var<storage, read_write> db: array<Memory4>;

fn bias_gradient(tile_row: u32, tile_column: u32, lane: u32) {
    let n4 = tile_row * (TILE_ROWS / 4u) + lane;
    if (tile_column != 0u || lane >= TILE_ROWS / 4u || n4 >= p.z_pitch) {
        return;
    }
    var sum = vec4(0.0);
    var i = n4;
    for (var m = 0u; m < p.count; m++) {
        sum += loaded(dz[i]);
        i += p.z_pitch;
    }
    db[n4] = stored(keep_columns(sum, n4, p.units));
}
