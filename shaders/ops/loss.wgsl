// results[slot + m] = (loss of row m · its weight · scale · count, 1 if it is answered correctly);
// training: out[m, j] = d(mean loss)/dz[m, j]; evaluation: out[slot + m, j] = what the network predicts
// z, out: [rows, outputs]  targets: [data rows, target columns + 1], last the row's weight; pitches in elements
struct Params {
    count: u32,
    first: u32,
    slot: u32,
    outputs: u32,
    z_pitch: u32,
    t_pitch: u32,
    target_columns: u32,
    goal: u32,
    predict: u32,
    scale: f32,
    delta: f32,
}
var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> targets: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> results: array<Memory4>;

const GOAL_BINARY: u32 = 1u;
const GOAL_CLASS: u32 = 2u;

// One row of the batch.
struct Row {
    // Where it starts in z, targets and out.
    z: u32,
    target_start: u32,
    out: u32,
    // Its share in the batch's mean.
    weight: f32,
}

fn target_at(row: Row, j: u32) -> f32 {
    if (p.goal == GOAL_CLASS) {
        return select(0.0, 1.0, u32(targets[row.target_start]) == j);
    }
    return targets[row.target_start + j];
}

fn greatest_output(row: Row) -> u32 {
    var best = 0u;
    for (var j = 1u; j < p.outputs; j++) {
        if (z[row.z + j] > z[row.z + best]) {
            best = j;
        }
    }
    return best;
}

fn is_right(row: Row) -> bool {
    let wanted = targets[row.target_start];
    if (p.goal == GOAL_CLASS) {
        return greatest_output(row) == u32(wanted);
    }
    return p.goal == GOAL_BINARY && (row_prediction(row) >= 0.5) == (wanted > 0.5);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let m = (group.y * groups.x + group.x) * 64u + lane;
    if (m >= p.count) {
        return;
    }
    var row: Row;
    row.z = m * p.z_pitch;
    row.target_start = order[p.first + m] * p.t_pitch;
    row.out = (m + select(0u, p.slot, p.predict == 1u)) * p.z_pitch;
    row.weight = targets[row.target_start + p.target_columns] * p.scale;
    let value = row_loss(row) * row.weight * f32(p.count);
    for (var j = p.outputs; j < p.z_pitch; j++) {
        out[row.out + j] = 0.0;
    }
    results[p.slot + m] = stored(vec4(value, select(0.0, 1.0, is_right(row)), 0.0, 0.0));
}
