// The gradient of l1 Σ|w| + (l2/2) Σ w², which weight matrices pay.
fn penalized(g: vec4<f32>, w: vec4<f32>, is_matrix: bool) -> vec4<f32> {
    if (is_matrix) {
        return g + p.l2 * w + p.l1 * sign(w);
    }
    return g;
}
