// l = (y - t)², mean over the outputs.
fn loss_value(y: f32, t: f32) -> f32 {
    return (y - t) * (y - t);
}

fn loss_derivative(y: f32, t: f32) -> f32 {
    return 2.0 * (y - t);
}

// What the network predicts when the loss is given y.
fn loss_prediction(y: f32) -> f32 {
    return y;
}
