// Four numbers in memory are two words of 64 bits: lavapipe loads and stores a vec4 word by word, whatever their size.
alias Memory4 = vec2<u64>;

fn loaded(memory: Memory4) -> vec4<f32> {
    let low = vec2<u32>(memory);
    let high = vec2<u32>(memory >> vec2(32u));
    return bitcast<vec4<f32>>(vec4(low.x, high.x, low.y, high.y));
}

fn stored(numbers: vec4<f32>) -> Memory4 {
    let bits = bitcast<vec4<u32>>(numbers);
    return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2(32u));
}
