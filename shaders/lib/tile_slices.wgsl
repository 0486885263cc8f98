// Tiles for a GPU that has few of them to do, see matmul_slices.wgsl: 4 × 4 outputs and a sixteenth of the depth an
// invocation.
const TILE_ROWS: u32 = 16u;
const TILE_COLUMNS: u32 = 16u;
const SLICES: u32 = 16u;
const CELLS: u32 = TILE_ROWS * TILE_COLUMNS / 16u;
const WORKGROUP: u32 = SLICES * CELLS;

// One workgroup's sums, those of one slice after the other; shared by all products of a kernel.
var<workgroup> shared_memory: array<vec4<f32>, SLICES * 4u * CELLS>;
