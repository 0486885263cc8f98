//! Handwritten digits: `cargo run --release --example images [FOLDER]`, with a folder of MNIST's files or the built-in
//! ones.

use wgrad::{Dataset, Fitted, Sequential};

/// Trains a classifier of images.
pub fn run(source: &str) -> wgrad::Result<Fitted> {
    let data = Dataset::load(source)?;
    Sequential::new().dense(128, "relu").dropout(0.2).dense(64, "relu").epochs(15).fit(&data)
}

#[allow(dead_code, reason = "the tests call run")]
fn main() -> wgrad::Result<()> {
    let fitted = run(&std::env::args().nth(1).unwrap_or_else(|| "digits".into()))?;
    println!("on {}", fitted.device().adapter);
    for set in wgrad::Set::ALL {
        if let Some(evaluation) = fitted.evaluation(set) {
            println!("{:10} accuracy {:.4}", set.name(), evaluation.metrics.headline().1);
        }
    }
    Ok(())
}
