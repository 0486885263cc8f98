// l = -log softmax(z)_t = log Σ_j e^(z_j - max) - (z_t - max);  dl/dz_j = softmax(z)_j - [j = t].
fn row_loss(row: Row) -> f32 {
    let greatest = z[row.z + greatest_output(row)];
    var sum = 0.0;
    for (var j = 0u; j < p.outputs; j++) {
        sum += exp(z[row.z + j] - greatest);
    }
    let wanted = u32(targets[row.target_start]);
    for (var j = 0u; j < p.outputs; j++) {
        let share = exp(z[row.z + j] - greatest) / sum;
        let gradient = (share - select(0.0, 1.0, j == wanted)) * row.weight;
        out[row.out + j] = select(gradient, share, p.predict == 1u);
    }
    return log(sum) - (z[row.z + wanted] - greatest);
}

// Only asked of a single output, which this loss never has.
fn row_prediction(row: Row) -> f32 {
    return 0.0;
}
