//! Watching a training and ending it: `cargo run --release --example early_stopping`.

use std::ops::ControlFlow;

use ndarray::Array2;
use wgrad::{Dataset, Epoch, Fitted, Sequential};

/// Trains until the loss on the validation rows is below `goal`, or for 10 epochs without a better one.
pub fn run(goal: f64, mut watch: impl FnMut(&Epoch)) -> wgrad::Result<Fitted> {
    let x = Array2::from_shape_fn((400, 1), |(row, _)| row as f32 / 100.0);
    let y = x.column(0).mapv(|x| (2.0 * x).sin());
    let data = Dataset::from_arrays(&x, &y)?;
    let network = Sequential::new().dense(32, "tanh").dense(32, "tanh").learning_rate(0.01).epochs(500);
    network.early_stopping(10).fit_with(&data, |epoch| {
        watch(epoch);
        match epoch.validation_loss {
            Some(loss) if loss < goal => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })
}

#[allow(dead_code, reason = "the tests call run")]
fn main() -> wgrad::Result<()> {
    let fitted = run(1e-3, |epoch| println!("epoch {:3}: {:?}", epoch.epoch, epoch.validation_loss))?;
    println!("{:?}, the best epoch was {:?}", fitted.end(), fitted.best_epoch());
    Ok(())
}
