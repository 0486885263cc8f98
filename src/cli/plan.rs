//! `wgrad plan`: the compiled steps, without running them.

use super::flags::{Overrides, RunFlags, Shared};
use super::print::Printer;
use super::project::Project;
use crate::error::Result;
use crate::plan::Phase;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad plan digits
  wgrad plan houses.csv --target price --hidden 64,64 --batch-size 256";

pub(super) fn run(flags: &RunFlags, shared: &Shared, overrides: &Overrides, printer: &Printer) -> Result<()> {
    let project = Project::open(flags, shared, overrides, Some("digits"))?;
    project.data.notes.iter().for_each(|note| printer.say(note));
    let plan = &project.plan;
    if printer.json {
        let steps = |phase| plan.steps(phase).iter().map(|step| step.label.clone()).collect::<Vec<_>>();
        printer.event(&serde_json::json!({
            "device": project.device.info().device,
            "adapter": project.device.info().adapter,
            "batch_size": plan.batch_size,
            "parameters": plan.parameter_count(),
            "device_bytes": plan.device_bytes(),
            "dispatches_per_step": plan.train.len(),
            "joined": project.device.joins(plan),
            "train": steps(Phase::Train),
            "evaluate": steps(Phase::Evaluate),
            "tensors": plan.tensors.iter().map(|t| serde_json::json!({"name": t.name, "shape": [t.rows, t.columns], "bytes": t.bytes()})).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    printer.result(plan.to_string().trim_end());
    if project.device.joins(plan) {
        printer.result("\nthe dispatches of a training step are joined to one, which runs many steps");
    }
    Ok(())
}
