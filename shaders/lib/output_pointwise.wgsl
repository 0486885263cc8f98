// A pointwise loss of y = f(z), and its gradient through f.
fn output_at(row: Row, j: u32) -> f32 {
    return activate(vec4(z[row.z + j])).x;
}

fn row_loss(row: Row) -> f32 {
    let share = 1.0 / f32(p.outputs);
    var sum = 0.0;
    for (var j = 0u; j < p.outputs; j++) {
        let y = output_at(row, j);
        let t = target_at(row, j);
        sum += loss_value(y, t);
        if (p.predict == 1u) {
            out[row.out + j] = loss_prediction(y);
        } else {
            let derivative = activate_derivative(saved_value(vec4(y), vec4(z[row.z + j]), 1.0)).x;
            out[row.out + j] = loss_derivative(y, t) * row.weight * share * derivative;
        }
    }
    return sum * share;
}

fn row_prediction(row: Row) -> f32 {
    return loss_prediction(output_at(row, 0u));
}
