// The rows of a layer are rows of the resident data set, in this epoch's order.
@group(0) @binding(0) var<storage, read> x: array<Memory4>;
@group(0) @binding(1) var<storage, read> order: array<u32>;

// Where row m of the batch starts, in vec4s.
fn input_row(m: u32) -> u32 {
    return order[p.first + m] * p.x_pitch;
}

fn input_at(row: u32, k4: u32) -> vec4<f32> {
    return loaded(x[row + k4]);
}
