//! `--dry-run` and `--overfit`: quick answers before a long training. They keep nothing.

use std::sync::Arc;

use serde_json::json;

use super::print::Printer;
use super::project::Project;
use crate::error::{Error, Result};
use crate::layers;
use crate::model::random::{self, Stream};
use crate::plan::grouped;
use crate::train::{Set, Trainer, setup};

/// One batch of everything.
pub(super) fn dry_run(project: &Project, printer: &Printer) -> Result<()> {
    project.announce(printer);
    let executor = project.device.executor(project.plan.clone())?;
    let mut trainer = Trainer::new(project.config(), &project.data, executor).map_err(|keyed| project.locate(keyed))?;
    let losses = trainer.try_out()?;
    printer.say("");
    printer.result(project.plan.to_string().trim_end());
    printer.say("");
    for (set, loss) in &losses {
        printer.say(format!("one {} batch: loss {loss:.4}", set.name()));
    }
    if let Some((set, _)) = losses.iter().find(|(_, loss)| !loss.is_finite()) {
        return Err(trainer.diverged(&format!("the loss of the first {} batch", set.name())));
    }
    printer.say("dry run: everything fits and runs; nothing was kept");
    let losses: serde_json::Map<_, _> = losses.iter().map(|(set, loss)| (set.name().to_owned(), json!(loss))).collect();
    printer.event(&json!({
        "event": "dry_run",
        "losses": losses,
        "parameters": project.plan.parameter_count(),
        "device_bytes": project.plan.device_bytes(),
        "dispatches_per_step": project.plan.train.len(),
    }));
    Ok(())
}

/// The score from which a network counts as one that has learnt its rows by heart: accuracy, or R².
const LEARNT: f64 = 0.99;

/// Epochs between two looks at the score.
const LOOK: usize = 10;

/// Can this network learn `batches` batches by heart? If not, more data will not help it.
pub(super) fn overfit(project: &Project, batches: usize, printer: &Printer) -> Result<()> {
    let (mut config, mut data) = (project.config().clone(), project.data.clone());
    let steps = data.split.train.len().div_ceil(project.plan.batch_size) * config.train.epochs;
    // A file may be sorted, and rows of one class prove nothing.
    random::shuffle(&mut data.split.train, &mut random::generator(config.seed, Stream::Shuffle(0)));
    data.split.train.truncate(batches.saturating_mul(project.plan.batch_size));
    data.split.validation.clear();
    data.split.test.clear();
    let rows = data.split.train.len();
    // As many steps as the whole training would have, and not too few to judge by.
    config.train.epochs = (steps / rows.div_ceil(project.plan.batch_size)).max(500);
    config.early_stopping.patience = 0;
    let shape = setup::shape(&data);
    let plan =
        layers::compile_within(&config, shape, project.device.limits(&shape)).map_err(|keyed| project.locate(keyed))?;
    let executor = project.device.executor(Arc::new(plan))?;
    project.announce(printer);
    printer.say(format!("overfitting {} rows, at most {} epochs", grouped(rows as u64), config.train.epochs));
    let mut trainer = Trainer::new(&config, &data, executor).map_err(|keyed| project.locate(keyed))?;
    let (mut score, mut metric) = (f64::NAN, "");
    while trainer.ended().is_none() {
        let epoch = trainer.epoch()?.epoch;
        if !epoch.is_multiple_of(LOOK) && trainer.ended().is_none() {
            continue;
        }
        let evaluation = trainer.evaluate(Set::Train)?.ok_or_else(|| Error::internal("there are no rows"))?;
        (metric, score) = evaluation.metrics.headline();
        if score >= LEARNT {
            break;
        }
    }
    let epochs = trainer.history().len();
    let learnt = score >= LEARNT;
    printer.result(if learnt {
        format!("yes: {metric} {score:.4} on these rows after {epochs} epochs, so the network and the gradients work")
    } else {
        format!(
            "no: {metric} {score:.4} on these rows after {epochs} epochs; try more --hidden units, another --lr, less \
             dropout or penalty, and look whether the features can tell these rows apart"
        )
    });
    printer.event(&json!({
        "event": "overfit", "learnt": learnt, "rows": rows, "epochs": epochs, "metric": metric, "score": score,
    }));
    Ok(())
}
