// Tiles for a processor without fast shared memory: see matmul_registers.wgsl and matmul_lanes.wgsl.
const TILE_ROWS: u32 = 16u;
const TILE_COLUMNS: u32 = 32u;
const WORKGROUP: u32 = 8u;
