//! An activation that wgrad has not, as WGSL and as Rust: `cargo run --release --example custom_activation`.

use std::path::Path;

use wgrad::model::activations::Activation;
use wgrad::verify::Report;
use wgrad::{Dataset, Device, Fitted, Sequential, TrainedModel};

/// f(z) = z / (1 + |z|), f' = (1 − |f|)² (Bergstra et al. 2009).
pub static SOFTSIGN: Activation = wgrad::activation!("softsign", aliases: &[], saves: Output, kinks: &[0.0],
wgsl: "
        fn activate(z: vec4<f32>) -> vec4<f32> {
            return z / (1.0 + abs(z));
        }
        fn activate_derivative(y: vec4<f32>) -> vec4<f32> {
            let rest = 1.0 - abs(y);
            return rest * rest;
        }",
value: |z| z / (T::one() + z.abs()),
derivative: |y| {
    let rest = T::one() - y.abs();
    rest * rest
});

/// Verifies the network on this device, trains it, saves it and loads it again.
pub fn run(folder: &Path, device: Device) -> wgrad::Result<(Report, Fitted, TrainedModel)> {
    let data = Dataset::load("digits")?;
    let network = Sequential::new().activation(&SOFTSIGN).dense(64, "softsign").epochs(10).device(device);
    let report = network.verify(&data)?;
    let fitted = network.fit(&data)?;
    fitted.save(folder)?;
    let model = TrainedModel::load_with(folder, &[&SOFTSIGN])?;
    Ok((report, fitted, model))
}

#[allow(dead_code, reason = "the tests call run")]
fn main() -> wgrad::Result<()> {
    let folder = std::env::temp_dir().join("wgrad-softsign");
    let (report, fitted, _) = run(&folder, Device::Auto)?;
    report.verdict(&fitted.device().adapter)?;
    println!("{} numbers are within their bounds on {}", report.compared(), fitted.device().adapter);
    if let Some(evaluation) = fitted.evaluation(wgrad::Set::Test) {
        println!("test accuracy {:.4}; the model is in {}", evaluation.metrics.headline().1, folder.display());
    }
    Ok(())
}
