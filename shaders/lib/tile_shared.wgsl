// Tiles for a GPU, see matmul_shared.wgsl: 4 × 4 outputs an invocation, for narrow layers.
const TILE_ROWS: u32 = 32u;
const TILE_COLUMNS: u32 = 32u;
const WORKGROUP: u32 = 64u;
const THREADS_ACROSS: u32 = 8u;
const ROWS: u32 = 4u;
const COLUMNS4: u32 = 1u;

// One workgroup's tiles of the operands, shared by all products of a kernel; a gap at the end of each line spreads the
// lines over the banks.
var<workgroup> left_tile: array<array<vec4<f32>, TILE_ROWS / 4u + 1u>, 16>;
var<workgroup> right_tile: array<array<vec4<f32>, TILE_COLUMNS / 4u + 1u>, 16>;
