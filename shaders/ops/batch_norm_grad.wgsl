// dw = Σ dy x̂;  db = Σ dy;  dx = w inverse (dy - db/count - x̂ dw/count) · f'(below), x̂ = (x - mean) inverse
// x, dy, dx: [count, features]  statistics: [2, features], mean and inverse; an invocation owns four columns
struct Params {
    count: u32,
    features: u32,
    x_pitch: u32,
    counter: u32,
    drop: vec4<u32>,
}
var<immediate> p: Params;
@group(0) @binding(0) var<storage, read> x: array<Memory4>;
@group(0) @binding(1) var<storage, read> dy: array<Memory4>;
@group(0) @binding(2) var<storage, read> weight: array<Memory4>;
@group(0) @binding(3) var<storage, read> statistics: array<Memory4>;
@group(0) @binding(4) var<storage, read_write> dw: array<Memory4>;
@group(0) @binding(5) var<storage, read_write> db: array<Memory4>;

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
    let mean = loaded(statistics[c4]);
    let inverse = loaded(statistics[p.x_pitch + c4]);
    var dw_sum = vec4(0.0);
    var db_sum = vec4(0.0);
    for (var m = 0u; m < p.count; m++) {
        let i = m * p.x_pitch + c4;
        let gradient = loaded(dy[i]);
        dw_sum += gradient * ((loaded(x[i]) - mean) * inverse);
        db_sum += gradient;
    }
    dw[c4] = stored(keep_columns(dw_sum, c4, p.features));
    db[c4] = stored(keep_columns(db_sum, c4, p.features));
    // The running statistics, which a single row is normalised by, do not depend on it.
    let share = select(0.0, 1.0 / f32(p.count), p.count > 1u);
    let factor = loaded(weight[c4]) * inverse;
    for (var m = 0u; m < p.count; m++) {
        let i = m * p.x_pitch + c4;
        let normalized = (loaded(x[i]) - mean) * inverse;
        below_finish(m, c4, factor * (loaded(dy[i]) - db_sum * share - normalized * (dw_sum * share)));
    }
}
