// l = r²/2 for |r| ≤ delta, else delta (|r| - delta/2), with r = y - t (Huber 1964), mean over the outputs.
fn loss_value(y: f32, t: f32) -> f32 {
    let r = abs(y - t);
    return select(p.delta * (r - 0.5 * p.delta), 0.5 * r * r, r <= p.delta);
}

fn loss_derivative(y: f32, t: f32) -> f32 {
    return clamp(y - t, -p.delta, p.delta);
}

// What the network predicts when the loss is given y.
fn loss_prediction(y: f32) -> f32 {
    return y;
}
