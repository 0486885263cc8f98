// Dropout: 0 or 1/(1 - rate) for four units. p.drop is key, threshold, 1/(1 - rate), 1 - rate.
fn keep(row: u32, column4: u32) -> vec4<f32> {
    var factor: vec4<f32>;
    for (var c = 0u; c < 4u; c++) {
        let kept = counter_based(4u * column4 + c, row, p.counter, p.drop.x) >= p.drop.y;
        factor[c] = select(0.0, bitcast<f32>(p.drop.z), kept);
    }
    return factor;
}
