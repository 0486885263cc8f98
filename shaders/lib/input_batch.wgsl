// The rows of a layer are the rows of the tensor below.
@group(0) @binding(0) var<storage, read> x: array<Memory4>;

// Where row m of the batch starts, in vec4s.
fn input_row(m: u32) -> u32 {
    return m * p.x_pitch;
}

fn input_at(row: u32, k4: u32) -> vec4<f32> {
    return loaded(x[row + k4]);
}
