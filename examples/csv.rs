//! Prices from a table with words and gaps: `cargo run --release --example csv [TABLE TARGET]`.

use std::path::Path;

use wgrad::{Evaluation, Fitted, Sequential, Set, Source};

/// Trains on a table and evaluates rows that training has not seen.
pub fn run(table: &Path, target: &str) -> wgrad::Result<(Fitted, Evaluation)> {
    let data = Source::file(table).target(target).load()?;
    let network = Sequential::new().dense(32, "relu").dense(16, "relu").learning_rate(0.01).epochs(300);
    let fitted = network.early_stopping(30).fit(&data)?;
    // Whoever needs the sets of the split has them; further tables are evaluated by `evaluate_file`.
    let evaluation = match fitted.evaluation(Set::Test) {
        Some(evaluation) => evaluation.clone(),
        None => fitted.evaluate_file(table)?,
    };
    Ok((fitted, evaluation))
}

#[allow(dead_code, reason = "the tests call run")]
fn main() -> wgrad::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flats.csv");
    let table = arguments.next().map_or(own, Into::into);
    let (fitted, evaluation) = run(&table, &arguments.next().unwrap_or_else(|| "price".into()))?;
    let (name, value) = evaluation.metrics.headline();
    println!("{} epochs, {name} of the test rows {value:.3}", fitted.history().len());
    let predictions = fitted.predict_file(&table)?;
    println!("the first answers: {:.1?}", &predictions.values[..predictions.rows().min(5)]);
    Ok(())
}
