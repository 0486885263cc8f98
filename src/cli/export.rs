//! `wgrad export`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::predict;
use super::print::Printer;
use crate::error::Result;
use crate::export;
use crate::file;
use crate::trained::TrainedModel;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad export runs/first --onnx model.onnx
  wgrad export runs/first/model.safetensors --onnx model.onnx";

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// A run's folder, or a model.safetensors by itself
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// The ONNX file to write; - is standard output
    #[arg(long, value_name = "FILE")]
    pub onnx: PathBuf,
}

pub(super) fn run(flags: &Flags, printer: &Printer) -> Result<()> {
    let model = TrainedModel::load(&flags.run)?;
    let export = export::to_onnx(&model)?;
    export.warnings.iter().for_each(|warning| printer.caution(warning));
    if flags.onnx.as_os_str() == "-" {
        return predict::deliver(&export.bytes);
    }
    file::write(&flags.onnx, &export.bytes)?;
    printer.event(&json!({"onnx": flags.onnx, "inputs": export.inputs, "outputs": export.outputs}));
    printer.say(format!("in:  {}", short(&export.inputs)));
    printer.say(format!("out: {}", short(&export.outputs)));
    printer.say(format!("model: {}", flags.onnx.display()));
    Ok(())
}

/// A list that fits a screen.
fn short(names: &[String]) -> String {
    const MOST: usize = 30;
    let more = names.len().saturating_sub(MOST);
    let mut text = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}
