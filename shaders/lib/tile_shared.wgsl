// Tiles for a GPU: see matmul_shared.wgsl.
const TILE_ROWS: u32 = 32u;
const TILE_COLUMNS: u32 = 32u;
const WORKGROUP: u32 = 64u;
