// Tiles for a GPU, see matmul_shared.wgsl: 8 × 8 outputs an invocation.
const TILE_ROWS: u32 = 64u;
const TILE_COLUMNS: u32 = 64u;
const WORKGROUP: u32 = 64u;
const THREADS_ACROSS: u32 = 8u;
const ROWS: u32 = 8u;
const COLUMNS4: u32 = 2u;
