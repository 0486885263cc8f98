// The layer has no bias.
fn bias_gradient(tile_row: u32, tile_column: u32, lane: u32) {
}
