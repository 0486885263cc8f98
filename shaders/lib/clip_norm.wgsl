// min(1, clip_norm / (‖g‖ + 1e-6)), as torch.nn.utils.clip_grad_norm_; `norm` left the sum of squares in parts.
@group(0) @binding(2) var<storage, read> partials: array<f32>;

fn shrink() -> f32 {
    var sum = 0.0;
    for (var i = 0u; i < p.partials; i++) {
        sum += partials[4u * i];
    }
    let ratio = p.clip_norm / (sqrt(sum) + 1e-6);
    // A norm that is NaN must not look like one below the limit.
    return select(ratio, min(1.0, ratio), is_finite(vec4(ratio)).x);
}
