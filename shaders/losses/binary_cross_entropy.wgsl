// l = -t log s - (1 - t) log(1 - s) with s = sigmoid(y), as max(y, 0) - y t + log(1 + e^-|y|).
fn loss_value(y: f32, t: f32) -> f32 {
    return max(y, 0.0) - y * t + log(1.0 + exp(-abs(y)));
}

fn loss_derivative(y: f32, t: f32) -> f32 {
    return loss_prediction(y) - t;
}

// What the network predicts when the loss is given y.
fn loss_prediction(y: f32) -> f32 {
    return 1.0 / (1.0 + exp(-clamp(y, -88.0, 88.0)));
}
