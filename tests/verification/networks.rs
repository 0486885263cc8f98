//! Networks of every layer kind, loss and optimizer: each passes, and nothing that it writes goes uncompared.

use std::collections::BTreeMap;

use libtest_mimic::Failed;
use wgrad::gpu::Device;
use wgrad::ops::Access;
use wgrad::plan::{Phase, Plan, Role};
use wgrad::verify::{self, Report};

use crate::device::Test;
use crate::subject::{Each, On, Subject, as_bytes, binary, classes, ensure, regression, split};
use crate::{batches, reference};

pub const EACH: &[(&str, Each)] = &[
    ("every_network_passes_and_every_number_is_compared", passes),
    ("the_default_network_compares_a_count_known_from_its_shapes", counted_by_hand),
];

pub const GPU: &[(&str, Test)] = &[("most_errors_are_not_far_below_their_bounds", bounds_are_near)];

/// Rows that every network trains on: two batches of 16 and a short one of 9, unless it says otherwise.
const ROWS: usize = 41;

pub fn networks() -> Vec<(&'static str, Subject)> {
    let network = |name, run: &str, data| (name, Subject::new(&format!("{run}\n[train]\nbatch_size = 16"), data));
    let mut networks = vec![
        network("the default on bytes", "", as_bytes(classes(ROWS, 64, 10))),
        network(
            "batch norm, dropout",
            r#"model.layers = [
                { type = "dense", units = 19, activation = "tanh" }, { type = "batch_norm", momentum = 0.3 },
                { type = "dropout", rate = 0.3 }, { type = "dense", units = 8, activation = "relu" },
                { type = "dropout", rate = 0.2 }, { type = "dense" }]"#,
            classes(ROWS, 11, 4),
        ),
        network(
            "clip norm, l1, l2, sgd",
            r#"model.layers = [{ type = "dense", units = 24, activation = "sigmoid" }, { type = "dense" }]
               optimizer = { name = "sgd", learning_rate = 0.1, momentum = 0.9, nesterov = true }
               regularization = { clip_norm = 0.1, l1 = 0.01, l2 = 0.02 }"#,
            classes(ROWS, 7, 3),
        ),
        network(
            "gelu, silu, adamw",
            r#"model.layers = [
                { type = "dense", units = 13, activation = "gelu" }, { type = "dense", units = 9, activation = "silu" },
                { type = "dense" }]
               optimizer = { name = "adamw", learning_rate = 0.01, weight_decay = 0.1 }"#,
            classes(ROWS, 5, 3),
        ),
        network(
            "softmax with mse, rmsprop",
            r#"model.layers = [{ type = "dense", units = 6, activation = "elu" }, { type = "dense", activation = "softmax" }]
               loss.name = "mse"
               optimizer = { name = "rmsprop", learning_rate = 0.01, centered = true, momentum = 0.5 }"#,
            classes(ROWS, 5, 4),
        ),
        network(
            "three targets, huber, adagrad",
            r#"model.layers = [{ type = "dense", units = 33, activation = "softplus" }, { type = "dense" }]
               loss = { name = "huber", delta = 0.7 }
               optimizer = { name = "adagrad", learning_rate = 0.1 }"#,
            regression(ROWS, 6, 3),
        ),
        network(
            "class weights, leaky relu",
            r#"model.layers = [{ type = "dense", units = 17, activation = "leaky_relu" }, { type = "dense" }]
               loss.class_weights = "balanced""#,
            classes(ROWS, 5, 3),
        ),
        network(
            "two classes",
            r#"model.layers = [{ type = "dense", units = 10, activation = "exp", scale = 0.1, init = "normal" },
                { type = "dense", activation = "sigmoid" }]
               loss.class_weights = [1.0, 3.0]"#,
            binary(ROWS, 4),
        ),
        network(
            "mae, no hidden layer",
            r#"model.layers = [{ type = "dense", activation = "tanh" }]
               loss.name = "mae""#,
            regression(ROWS, 1, 1),
        ),
        network(
            "dropout first, no bias, clip value",
            r#"model.layers = [
                { type = "dropout", rate = 0.1 }, { type = "dense", units = 21, activation = "relu", bias = false },
                { type = "batch_norm" }, { type = "dense", bias = false }]
               regularization.clip_value = 0.01"#,
            as_bytes(classes(ROWS, 9, 3)),
        ),
        network(
            "batch norm first",
            r#"model.layers = [{ type = "batch_norm" }, { type = "dense", units = 1, activation = "identity" },
                { type = "dense" }]"#,
            regression(ROWS, 3, 2),
        ),
        network(
            "large odd sizes",
            r#"model.layers = [{ type = "dense", units = 129, activation = "relu" },
                { type = "dense", units = 65, activation = "tanh" }, { type = "dense" }]"#,
            classes(ROWS, 257, 11),
        ),
    ];
    // Blocks of the data set, and parameters that are clipped and updated range by range.
    let (_, blocks) = network(
        "",
        r#"model.layers = [{ type = "dense", units = 60, activation = "relu" },
            { type = "dense", units = 60, activation = "tanh" }, { type = "dense" }]
           regularization.clip_norm = 0.1"#,
        split(classes(200, 60, 3), 1, 4, 0),
    );
    networks.push(("blocks and ranges", Subject { max_binding: 16 << 10, ..blocks }));
    let (_, mut one_row) = network(
        "",
        r#"model.layers = [{ type = "dense", units = 5, activation = "relu" }, { type = "batch_norm" }, { type = "dense" }]"#,
        classes(ROWS, 5, 3),
    );
    one_row.config.train.batch_size = 8;
    networks.push(("a last batch of one row", one_row));
    networks
}

fn report(subject: &Subject, on: On) -> Result<Report, Failed> {
    let mut executor = subject.executor(on)?;
    subject.load(executor.as_mut())?;
    Ok(verify::verify(executor.as_mut(), &mut reference(subject)?, &batches(subject)?)?)
}

/// The numbers that were compared after whole training steps, and the report without them.
fn by_itself(report: Report) -> (usize, Report) {
    let all = report.compared();
    let comparisons = report.comparisons.into_iter().filter(|c| c.phase != "joined").collect();
    let report = Report { comparisons, ..report };
    (all - report.compared(), report)
}

/// What one batch of one phase must compare, from the shapes: whatever a row of a batch has is there once for each row
/// of the batch, everything else is compared whole.
pub fn expected(plan: &Plan, phase: Phase, rows: usize) -> usize {
    let mut numbers = 0;
    for step in plan.steps(phase) {
        for argument in step.op.arguments().iter().filter(|argument| argument.access != Access::Read) {
            for id in plan.bound(argument.binding) {
                let tensor = plan.tensor(id);
                numbers += match tensor.role {
                    // The norm of one range of the parameters.
                    Role::Activation if tensor.name == "norm.partials" => 64,
                    Role::Activation if tensor.name.ends_with(".statistics") => 2 * tensor.columns,
                    Role::Activation | Role::Results | Role::Predictions => rows * tensor.columns,
                    _ => tensor.elements(),
                };
            }
        }
    }
    numbers
}

fn passes(on: On) -> Result<(), Failed> {
    let networks = networks();
    ensure(networks.len() == 14, || format!("there are {} networks", networks.len()))?;
    for (name, subject) in networks {
        let report = report(&subject, on)?;
        report.verdict("this device").map_err(|error| format!("{name}: {error}"))?;
        let plan = subject.plan()?;
        let mut want = 0;
        for batch in batches(&subject)? {
            for phase in [Phase::Train, Phase::Evaluate] {
                want += expected(&plan, phase, batch.count as usize);
            }
        }
        let (joined, report) = by_itself(report);
        ensure(joined == 0 || matches!(on, On::Gpu(_)), || format!("{name}: nothing is joined on the CPU path"))?;
        ensure(report.compared() == want, || format!("{name}: {} compared, {want} expected", report.compared()))?;
    }
    Ok(())
}

fn counted_by_hand(on: On) -> Result<(), Failed> {
    let subject = Subject::new("", classes(100, 64, 10));
    let parameters = 64 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10;
    let outputs = 128 + 64 + 10;
    let count = |rows: usize| {
        let forward = rows * (outputs + 10 + 2);
        let backward = parameters + rows * (128 + 64);
        // Adam's weights and two slots; then the evaluation.
        forward + backward + 3 * parameters + forward
    };
    let report = report(&subject, on)?;
    let (got, want) = (report.compared(), count(64) + count(36));
    ensure(report.passed() && got == want, || format!("{got} numbers are compared, {want} expected"))
}

/// Bounds that are far above every error would let errors pass. Prints the shares for whoever looks.
fn bounds_are_near(device: &Device) -> Result<(), Failed> {
    let (mut near, mut all) = (0, 0);
    let mut largest: BTreeMap<String, f64> = BTreeMap::new();
    println!();
    for (name, subject) in networks() {
        let report = report(&subject, On::Gpu(device))?;
        println!("    {name}");
        for c in &report.comparisons {
            let op = c.step.split(' ').next().unwrap_or_default().to_owned();
            let share = largest.entry(op).or_default();
            *share = share.max(c.share_of_bound);
            // Numbers that are copied or known to be 0 have no error to speak of.
            if c.largest_error > 0.0 && c.phase != "joined" {
                println!("        {:8} {:24} {:28} {:6.2} %", c.phase, c.step, c.tensor, 100.0 * c.share_of_bound);
                all += 1;
                near += usize::from(c.share_of_bound >= 0.01);
            }
        }
    }
    for (op, share) in &largest {
        println!("    {op:16} comes to {:6.2} % of its bound", 100.0 * share);
    }
    println!("    {near} of {all} are at least 1 % of their bounds");
    let far: Vec<&String> = largest.iter().filter(|(_, share)| **share < 0.01).map(|(op, _)| op).collect();
    ensure(far.is_empty() && largest.len() >= 9, || format!("far below their bounds: {far:?} of {largest:?}"))?;
    ensure(all > 200 && 2 * near >= all, || format!("{near} of {all} errors are at least 1 % of their bounds"))
}
