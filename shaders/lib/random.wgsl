// pcg4d: Jarzynski & Olano, Hash Functions for GPU Rendering, JCGT 9(3), 2020. Its twin is model/random.rs.
fn counter_based(column: u32, row: u32, step: u32, key: u32) -> u32 {
    var v = vec4(column, row, step, key) * 1664525u + 1013904223u;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    v ^= v >> vec4(16u);
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v.x;
}
