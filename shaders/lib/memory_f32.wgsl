// Four numbers in memory are four numbers.
alias Memory4 = vec4<f32>;

fn loaded(memory: Memory4) -> vec4<f32> {
    return memory;
}

fn stored(numbers: vec4<f32>) -> Memory4 {
    return numbers;
}
