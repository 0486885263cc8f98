// One workgroup's tiles of the operands, the left one's 16 depths and then the right one's; shared by all products of a
// kernel.
var<workgroup> shared_memory: array<vec4<f32>, 4u * (TILE_ROWS + TILE_COLUMNS)>;
