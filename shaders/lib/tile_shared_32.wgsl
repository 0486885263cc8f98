// Tiles for a GPU, see matmul_shared.wgsl: 4 × 4 outputs an invocation.
const TILE_ROWS: u32 = 32u;
const TILE_COLUMNS: u32 = 32u;
const WORKGROUP: u32 = 64u;
const THREADS_ACROSS: u32 = 8u;
const ROWS: u32 = 4u;
const COLUMNS4: u32 = 1u;
