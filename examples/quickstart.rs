//! Exclusive or, from arrays: `cargo run --release --example quickstart`.

use ndarray::array;
use wgrad::{Fitted, Predictions, Sequential, Source};

/// Trains on the four rows and answers them.
pub fn run() -> wgrad::Result<(Fitted, Predictions)> {
    let x = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
    let y = [false, true, true, false];
    // Four rows are too few to set some aside.
    let data = Source::arrays(&x, &y).split([1.0, 0.0, 0.0]).load()?;
    let fitted = Sequential::new().dense(8, "tanh").learning_rate(0.05).epochs(200).fit(&data)?;
    let predictions = fitted.predict(&x)?;
    Ok((fitted, predictions))
}

#[allow(dead_code, reason = "the tests call run")]
fn main() -> wgrad::Result<()> {
    let (fitted, predictions) = run()?;
    for epoch in fitted.history().iter().step_by(20) {
        println!("epoch {:3}: loss {:.4}", epoch.epoch, epoch.train_loss);
    }
    println!("answers: {:?}", predictions.labels);
    Ok(())
}
