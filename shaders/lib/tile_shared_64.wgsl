// Tiles for a GPU, see matmul_shared.wgsl: 8 × 8 outputs an invocation, for layers of medium width.
const TILE_ROWS: u32 = 64u;
const TILE_COLUMNS: u32 = 64u;
const WORKGROUP: u32 = 64u;
const THREADS_ACROSS: u32 = 8u;
const ROWS: u32 = 8u;
const COLUMNS4: u32 = 2u;

// One workgroup's tiles of the operands, shared by all products of a kernel; a gap at the end of each line spreads the
// lines over the banks.
var<workgroup> left_tile: array<array<vec4<f32>, TILE_ROWS / 4u + 1u>, 16>;
var<workgroup> right_tile: array<array<vec4<f32>, TILE_COLUMNS / 4u + 1u>, 16>;
