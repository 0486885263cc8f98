// Tiles for a GPU, see matmul_shared.wgsl: 8 × 16 outputs an invocation.
const TILE_ROWS: u32 = 128u;
const TILE_COLUMNS: u32 = 128u;
const WORKGROUP: u32 = 128u;
const THREADS_ACROSS: u32 = 8u;
const ROWS: u32 = 8u;
const COLUMNS4: u32 = 4u;
