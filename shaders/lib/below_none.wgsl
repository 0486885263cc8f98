// Below lies the data: nothing there is trained.
const HAS_BELOW: bool = false;

fn below_multiply(tile_row: u32, tile_column: u32, lane: u32, depth4: u32) {
}
