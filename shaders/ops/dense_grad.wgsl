// dw[n, k] = Σ_m dz[m, n] x[m, k];  db[n] = Σ_m dz[m, n];  dx[m, k] = Σ_n dz[m, n] w[n, k] · f'(below)
// x, dx: [count, features]  dz: [count, units]  w, dw: [units, features]  db: [units]; pitches in vec4s
struct Params {
    count: u32,
    first: u32,
    counter: u32,
    units: u32,
    features: u32,
    x_pitch: u32,
    z_pitch: u32,
    x_scale: f32,
    x_shift: f32,
    group: u32,
    drop: vec4<u32>,
}
var<immediate> p: Params;
@group(0) @binding(2) var<storage, read> dz: array<Memory4>;
@group(0) @binding(3) var<storage, read_write> dw: array<Memory4>;

// No line of dz.
const NOTHING: u32 = 0xffffffffu;

// Rows beyond the batch count as zero on the left; on the right any row may then stand in for them.
fn weights_left_line(m: u32) -> u32 {
    return select(NOTHING, m * p.z_pitch, m < p.count);
}

fn weights_left_at(line: u32, n4: u32) -> vec4<f32> {
    let i = select(line, 0u, line == NOTHING) + min(n4, p.z_pitch - 1u);
    return select(loaded(dz[i]), vec4(0.0), line == NOTHING);
}

fn weights_right_line(m: u32) -> u32 {
    return input_row(min(m, p.count - 1u));
}

fn weights_right_at(line: u32, k4: u32) -> vec4<f32> {
    return input_at(line, min(k4, p.x_pitch - 1u));
}

fn weights_rows() -> u32 {
    return p.units;
}

fn weights_finish(n: u32, k4: u32, sum: vec4<f32>) {
    if (k4 < p.x_pitch) {
        dw[n * p.x_pitch + k4] = stored(keep_columns(sum, k4, p.features));
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var tile = p.group + group.y * groups.x + group.x;
    let across = (p.features + TILE_COLUMNS - 1u) / TILE_COLUMNS;
    if (HAS_BELOW) {
        let below = across * ((p.count + TILE_ROWS - 1u) / TILE_ROWS);
        if (tile < below) {
            below_multiply(tile / across, tile % across, lane, p.z_pitch);
            return;
        }
        tile -= below;
    }
    if (tile < across * ((p.units + TILE_ROWS - 1u) / TILE_ROWS)) {
        weights_multiply(tile / across, tile % across, lane, (p.count + 3u) / 4u);
        bias_gradient(tile / across, tile % across, lane);
    }
}
