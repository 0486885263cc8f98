//! Networks drawn at random, layers, sizes, batches and settings: every device verifies them, a GPU's kernels too, and any
//! number of threads gives the same bits. `RANDOM_NETWORKS=500 RANDOM_SEED=7` draws more and others.

use libtest_mimic::Failed;
use rand_chacha::ChaCha8Rng;
use wgrad::cpu::CpuExecutor;
use wgrad::gpu::{Device, GpuExecutor, Options};
use wgrad::model::activations::ACTIVATIONS;
use wgrad::model::initializers::INITIALIZERS;
use wgrad::model::random::{Stream, generator, uniform};
use wgrad::ops::{Batch, Class};
use wgrad::plan::{Executor, Phase, Role};
use wgrad::verify;

use crate::device::Test;
use crate::subject::{Plain, Subject, as_bytes, binary, classes, ensure, regression, split};
use crate::{batches, reference};

pub const PLAIN: &[(&str, Plain)] = &[("random_networks_pass_on_the_cpu_path_with_the_bits_of_one_thread", on_threads)];

pub const GPU: &[(&str, Test)] =
    &[("random_networks_pass_on_the_adapter_with_its_own_kernels_and_those_of_a_gpu", on_adapter)];

struct Draw(ChaCha8Rng);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        (uniform(&mut self.0) * end as f64) as usize
    }

    /// One time in `n`.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Mostly small, sometimes more than a tile, seldom several.
    fn size(&mut self) -> usize {
        let end = [12, 12, 40, 140, 600][self.below(5)];
        1 + self.below(end)
    }

    /// Exponentials of sums overflow soon, which is another test's matter.
    fn activation(&mut self) -> &'static str {
        let names: Vec<&str> = ACTIVATIONS.iter().map(|row| row.name).filter(|&name| name != "exp").collect();
        self.of(&names)
    }

    fn layer(&mut self) -> String {
        if self.one_in(6) {
            return format!("{{ type = \"batch_norm\", momentum = {} }}", self.of(&["0.1", "0.4"]));
        }
        if self.one_in(6) {
            return format!("{{ type = \"dropout\", rate = {} }}", self.of(&["0.1", "0.5", "0.0"]));
        }
        let (units, activation, bias) = (self.size(), self.activation(), !self.one_in(4));
        let names: Vec<&str> = INITIALIZERS.iter().map(|row| row.name).filter(|name| !name.ends_with('s')).collect();
        let init = self.of(&names);
        format!(
            "{{ type = \"dense\", units = {units}, activation = \"{activation}\", bias = {bias}, init = \"{init}\" }}"
        )
    }

    fn optimizer(&mut self) -> &'static str {
        self.of(&[
            r#"{ name = "sgd", learning_rate = 0.05 }"#,
            r#"{ name = "sgd", learning_rate = 0.05, momentum = 0.9 }"#,
            r#"{ name = "sgd", learning_rate = 0.05, momentum = 0.9, nesterov = true }"#,
            r#"{ name = "adam", learning_rate = 0.01 }"#,
            r#"{ name = "adamw", learning_rate = 0.01, weight_decay = 0.1 }"#,
            r#"{ name = "rmsprop", learning_rate = 0.01 }"#,
            r#"{ name = "rmsprop", learning_rate = 0.01, centered = true, momentum = 0.5 }"#,
            r#"{ name = "adagrad", learning_rate = 0.05 }"#,
        ])
    }

    /// A run file and its data.
    fn subject(&mut self) -> (String, Subject) {
        let (rows, features) = (2 + self.size(), self.size());
        let (data, last, loss) = match self.below(4) {
            0 => (binary(rows.max(8), features), "", ""),
            1 => {
                let loss = self.of(&["mse", "mae", "huber"]);
                (regression(rows, features, 1 + self.below(3)), "", loss)
            }
            2 => (
                classes(rows.max(24), features, 2 + self.below(4)),
                ", activation = \"softmax\"",
                self.of(&["mse", "mae"]),
            ),
            _ => (classes(rows.max(60), features, 2 + self.below(10)), "", ""),
        };
        let data = if self.one_in(4) { as_bytes(data) } else { data };
        let data = if self.one_in(3) { split(data, 3, 1, 1) } else { data };
        let mut hidden: Vec<String> = (0..self.below(5)).map(|_| self.layer() + ", ").collect();
        // Two dropouts in a row are refused.
        hidden.dedup_by(|layer, before| [layer, before].iter().all(|layer| layer.contains("dropout")));
        let loss = if loss.is_empty() { String::new() } else { format!("loss.name = \"{loss}\"\n") };
        let mut regularization = Vec::new();
        for (key, value) in [("l1", "0.01"), ("l2", "0.02"), ("clip_norm", "0.1"), ("clip_value", "0.01")] {
            if self.one_in(5) {
                regularization.push(format!("{key} = {value}"));
            }
        }
        let run = format!(
            "model.layers = [{}{{ type = \"dense\"{last} }}]\n{loss}optimizer = {}\nregularization = {{ {} }}\n\
             train.batch_size = {}",
            hidden.concat(),
            self.optimizer(),
            regularization.join(", "),
            1 + self.below(rows + 2),
        );
        let name = format!("{rows} rows, {features} features\n{run}");
        let subject = Subject::new(&run, data);
        // Data in blocks, parameters in ranges; where one tensor is larger than that, it stays as it was.
        let small = Subject { max_binding: 32 << 10, ..subject };
        if self.one_in(4) && small.plan().is_ok() {
            (name, small)
        } else {
            (name, Subject { max_binding: 1 << 27, ..small })
        }
    }
}

/// The drawn networks, `few` unless more are asked for, one after the other.
fn each(few: usize, test: impl Fn(&Subject, &mut Draw) -> Result<(), Failed>) -> Result<(), Failed> {
    let asked = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("it is a number"));
    let seed = asked("RANDOM_SEED").unwrap_or(1);
    for number in 0..asked("RANDOM_NETWORKS").unwrap_or(few as u64) {
        let mut draw = Draw(generator(seed << 32 | number, Stream::Synthetic));
        let (name, subject) = draw.subject();
        test(&subject, &mut draw).map_err(|error| {
            format!("network {number} of seed {seed}, {name}\n{}", error.message().unwrap_or_default())
        })?;
    }
    Ok(())
}

fn verified(executor: &mut dyn Executor, subject: &Subject) -> Result<(), Failed> {
    subject.load(executor)?;
    let report = verify::verify(executor, &mut reference(subject)?, &batches(subject)?)?;
    let plan = subject.plan()?;
    ensure(report.compared() > 2 * plan.parameter_count(), || format!("only {} are compared", report.compared()))?;
    Ok(report.verdict("this device")?)
}

/// What some steps leave of weights and predictions.
fn bits(subject: &Subject, threads: usize) -> Result<Vec<u32>, Failed> {
    let mut executor = CpuExecutor::<f32>::new(subject.plan()?, threads)?;
    subject.load(&mut executor)?;
    let steps: Vec<Batch> = batches(subject)?.into_iter().cycle().take(6).collect();
    executor.run(Phase::Train, &steps)?;
    executor.run(Phase::Evaluate, &steps[..1])?;
    let plan = subject.plan()?;
    let mut bits = Vec::new();
    for id in plan.ids().filter(|&id| matches!(plan.tensor(id).role, Role::Parameter | Role::State | Role::Predictions))
    {
        bits.extend(executor.read(id, 0..plan.tensor(id).rows)?.into_iter().map(f32::to_bits));
    }
    Ok(bits)
}

fn on_threads() -> Result<(), Failed> {
    each(60, |subject, draw| {
        let threads = 2 + draw.below(15);
        verified(&mut CpuExecutor::<f32>::new(subject.plan()?, threads)?, subject)?;
        ensure(bits(subject, 1)? == bits(subject, threads)?, || format!("{threads} threads give other bits than one"))
    })
}

fn on_adapter(device: &Device) -> Result<(), Failed> {
    each(10, |subject, _| {
        // By itself each: tiny networks would be joined, whatever the class.
        let hardware = Options { class: Some(Class::Hardware), single: true, ..Options::default() };
        for options in [Options::default(), hardware] {
            let mut executor = GpuExecutor::new(device, subject.plan()?, options)?;
            let verdict = verified(&mut executor, subject);
            verdict.map_err(|error| format!("{options:?}: {}", error.message().unwrap_or_default()))?;
        }
        Ok(())
    })
}
