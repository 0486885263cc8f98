//! `wgrad verify`: the user's own network on the user's own adapter against the f64 reference.

use clap::Args;

use super::flags::{Overrides, RunFlags, Shared};
use super::print::Printer;
use super::project::Project;
use crate::error::Result;
use crate::plan::grouped;
use crate::verify::Report;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad verify                      a default network on the best device
  wgrad verify digits --device gpu
  wgrad verify houses.csv --config run.toml --device nvidia";

#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub run: RunFlags,
}

pub(super) fn run(flags: &Flags, shared: &Shared, overrides: &Overrides, printer: &Printer) -> Result<()> {
    let project = Project::open(&flags.run, shared, overrides, Some("digits"))?;
    let report = project.verify()?;
    project.announce(printer);
    let adapter = project.device.info().adapter;
    show(&report, &adapter, printer);
    report.verdict(&adapter)
}

/// The table and the verdict, for people and as JSON.
pub(super) fn show(report: &Report, adapter: &str, printer: &Printer) {
    for comparison in &report.comparisons {
        printer.event(&serde_json::json!({"event": "comparison", "comparison": comparison}));
    }
    printer.event(&serde_json::json!({
        "event": "verification",
        "adapter": adapter,
        "passed": report.passed(),
        "compared": report.compared(),
        "failures": report.failures().count(),
        "overwritten": report.overwritten,
    }));
    let width = |of: fn(&crate::verify::Comparison) -> usize| report.comparisons.iter().map(of).max().unwrap_or(0);
    let (steps, tensors) = (width(|c| c.step.len()), width(|c| c.tensor.len()));
    printer.say(format!(
        "{:8}  {:steps$}  {:>5}  {:tensors$}  {:>10}  {:>9}  {:>8}",
        "phase", "step", "rows", "tensor", "compared", "max error", "of bound"
    ));
    for c in &report.comparisons {
        let verdict = if c.failure.is_some() { "  WRONG" } else { "" };
        printer.say(format!(
            "{:8}  {:steps$}  {:>5}  {:tensors$}  {:>10}  {:>9.1e}  {:>7.1}%{verdict}",
            c.phase,
            c.step,
            c.rows,
            c.tensor,
            grouped(c.compared as u64),
            c.largest_error,
            100.0 * c.share_of_bound
        ));
    }
    if report.passed() {
        printer.result(format!(
            "verified: all {} numbers that {adapter} computed are within their error bounds of the f64 reference",
            grouped(report.compared() as u64)
        ));
    }
}
