// The global norm is not limited.
fn shrink() -> f32 {
    return 1.0;
}
