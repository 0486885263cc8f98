// Tiles for a network so small that one workgroup runs all of it: see matmul_rows.wgsl.
const TILE_ROWS: u32 = 8u;
const TILE_COLUMNS: u32 = 4u;
const WORKGROUP: u32 = 8u;
