// Padding stays zero: keeps the first `columns` elements of a row, given its j4-th vec4.
fn keep_columns(value: vec4<f32>, j4: u32, columns: u32) -> vec4<f32> {
    return select(vec4(0.0), value, 4u * j4 + vec4(0u, 1u, 2u, 3u) < vec4(columns));
}
