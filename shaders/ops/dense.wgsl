// y[m, n] = f(Σ_k x[m, k] w[n, k] + b[n]) · keep(m, n)
// x: [count, features]  w: [units, features]  b: [units]  y: [count, units]; pitches in vec4s
struct Params {
    count: u32,
    first: u32,
    counter: u32,
    units: u32,
    x_pitch: u32,
    y_pitch: u32,
    x_scale: f32,
    x_shift: f32,
    drop: vec4<u32>,
    group: u32,
}
var<immediate> p: Params;
@group(0) @binding(2) var<storage, read> w: array<Memory4>;
@group(0) @binding(3) var<storage, read_write> y: array<Memory4>;

// Lines beyond the batch or the layer repeat the last one; what they give is not kept.
fn part_left_line(m: u32) -> u32 {
    return input_row(min(m, p.count - 1u));
}

fn part_left_at(line: u32, k4: u32) -> vec4<f32> {
    return input_at(line, k4);
}

fn part_right_line(n: u32) -> u32 {
    return min(n, p.units - 1u) * p.x_pitch;
}

fn part_right_at(line: u32, k4: u32) -> vec4<f32> {
    return loaded(w[line + k4]);
}

fn part_rows() -> u32 {
    return p.count;
}

fn part_finish(m: u32, n4: u32, sum: vec4<f32>) {
    if (n4 < p.y_pitch) {
        let i = m * p.y_pitch + n4;
        let z = sum + bias_at(n4);
        save(i, keep_columns(z, n4, p.units));
        y[i] = stored(keep_columns(activate(z) * keep(m, n4), n4, p.units));
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = p.group + group.y * groups.x + group.x;
    let across = (p.units + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    if (tile < across * ((p.count + TILE_ROWS - 1u) / TILE_ROWS)) {
        part_multiply(tile / across, tile % across, lane, p.x_pitch);
    }
}
