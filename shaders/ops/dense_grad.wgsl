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
    drop: vec4<u32>,
}
var<immediate> p: Params;
@group(0) @binding(2) var<storage, read> dz: array<f32>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;

// Rows beyond the batch count as zero.
fn weights_row(n: u32) -> u32 {
    return min(n, p.units - 1u);
}

fn weights_left(column: u32, m4: u32) -> vec4<f32> {
    let last = p.count - 1u;
    let m = 4u * m4 + vec4(0u, 1u, 2u, 3u);
    let i = 4u * min(m, vec4(last)) * p.z_pitch + column;
    return select(vec4(0.0), vec4(dz[i.x], dz[i.y], dz[i.z], dz[i.w]), m <= vec4(last));
}

fn weights_right(m4: u32, k4: u32) -> mat4x4<f32> {
    let k = min(k4, p.x_pitch - 1u);
    let last = p.count - 1u;
    return mat4x4(
        input_at(input_row(min(4u * m4, last)), k),
        input_at(input_row(min(4u * m4 + 1u, last)), k),
        input_at(input_row(min(4u * m4 + 2u, last)), k),
        input_at(input_row(min(4u * m4 + 3u, last)), k),
    );
}

fn weights_finish(n: u32, k4: u32, sum: vec4<f32>) {
    if (n < p.units && k4 < p.x_pitch) {
        dw[n * p.x_pitch + k4] = keep_columns(sum, k4, p.features);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var tile = group.y * groups.x + group.x;
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
