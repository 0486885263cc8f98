// Tiles of more rows, for which each load of the right operand serves twice as often: see matmul_lanes.wgsl. They take
// longer to compile, and leave threads without work where a layer is narrow.
const TILE_ROWS: u32 = 32u;
const TILE_COLUMNS: u32 = 32u;
const WORKGROUP: u32 = 8u;
