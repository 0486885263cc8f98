// Tiles for a GPU, see matmul_shared.wgsl: 8 × 16 outputs an invocation, for wide layers.
const TILE_ROWS: u32 = 128u;
const TILE_COLUMNS: u32 = 128u;
const WORKGROUP: u32 = 128u;
const THREADS_ACROSS: u32 = 8u;
const ROWS: u32 = 8u;
const COLUMNS4: u32 = 4u;

// One workgroup's tiles of the operands, shared by all products of a kernel. They are the 16,384 bytes that every adapter
// has, so there is no gap that spreads the lines over the banks, as smaller tiles have.
var<workgroup> left_tile: array<array<vec4<f32>, TILE_ROWS / 4u>, 16>;
var<workgroup> right_tile: array<array<vec4<f32>, TILE_COLUMNS / 4u>, 16>;
