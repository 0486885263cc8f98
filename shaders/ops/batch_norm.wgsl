// y[m, c] = weight[c] (x[m, c] - mean[c]) / √(variance[c] + epsilon) + bias[c]; an invocation owns four columns
// x, y: [count, features]  statistics: [2, features], mean and 1/√(variance + epsilon); pitch in vec4s
struct Params {
    count: u32,
    features: u32,
    x_pitch: u32,
    mode: u32,
    momentum: f32,
    epsilon: f32,
}
var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<Memory4>;
@group(0) @binding(1) var<storage, read> weight: array<Memory4>;
@group(0) @binding(2) var<storage, read> bias: array<Memory4>;
@group(0) @binding(3) var<storage, read_write> running_mean: array<Memory4>;
@group(0) @binding(4) var<storage, read_write> running_variance: array<Memory4>;
@group(0) @binding(5) var<storage, read_write> statistics: array<Memory4>;
@group(0) @binding(6) var<storage, read_write> y: array<Memory4>;

const MODE_EVALUATE: u32 = 0u;
const MODE_BATCH: u32 = 2u;

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let c4 = (group.y * groups.x + group.x) * 8u + lane;
    if (c4 >= p.x_pitch) {
        return;
    }
    var mean = loaded(running_mean[c4]);
    var variance = loaded(running_variance[c4]);
    if (p.mode == MODE_BATCH) {
        let rows = f32(p.count);
        var sum = vec4(0.0);
        for (var m = 0u; m < p.count; m++) {
            sum += loaded(x[m * p.x_pitch + c4]);
        }
        mean = sum / rows;
        var squares = vec4(0.0);
        for (var m = 0u; m < p.count; m++) {
            let centred = loaded(x[m * p.x_pitch + c4]) - mean;
            squares += centred * centred;
        }
        variance = squares / rows;
        // Padding stays zero: mean and squares of a column of zeros are.
        let kept = 1.0 - p.momentum;
        running_mean[c4] = stored(kept * loaded(running_mean[c4]) + p.momentum * mean);
        let unbiased = squares / (rows - 1.0);
        running_variance[c4] = stored(kept * loaded(running_variance[c4]) + p.momentum * unbiased);
    }
    let inverse = 1.0 / sqrt(variance + p.epsilon);
    if (p.mode != MODE_EVALUATE) {
        statistics[c4] = stored(keep_columns(mean, c4, p.features));
        statistics[p.x_pitch + c4] = stored(keep_columns(inverse, c4, p.features));
    }
    for (var m = 0u; m < p.count; m++) {
        let i = m * p.x_pitch + c4;
        let normalized = (loaded(x[i]) - mean) * inverse;
        y[i] = stored(keep_columns(normalized * loaded(weight[c4]) + loaded(bias[c4]), c4, p.features));
    }
}
