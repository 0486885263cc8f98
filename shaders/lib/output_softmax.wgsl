// A pointwise loss of y = softmax(z), and its gradient dz_j = y_j (dy_j - Σ_i dy_i y_i).
fn row_loss(row: Row) -> f32 {
    let share = 1.0 / f32(p.outputs);
    let greatest = z[row.z + greatest_output(row)];
    var total = 0.0;
    for (var j = 0u; j < p.outputs; j++) {
        total += exp(z[row.z + j] - greatest);
    }
    var sum = 0.0;
    var inner = 0.0;
    for (var j = 0u; j < p.outputs; j++) {
        let y = exp(z[row.z + j] - greatest) / total;
        let t = target_at(row, j);
        sum += loss_value(y, t);
        inner += loss_derivative(y, t) * row.weight * share * y;
    }
    for (var j = 0u; j < p.outputs; j++) {
        let y = exp(z[row.z + j] - greatest) / total;
        let gradient = y * (loss_derivative(y, target_at(row, j)) * row.weight * share - inner);
        out[row.out + j] = select(gradient, loss_prediction(y), p.predict == 1u);
    }
    return sum * share;
}

// Softmax of a single output is 1.
fn row_prediction(row: Row) -> f32 {
    return loss_prediction(1.0);
}
