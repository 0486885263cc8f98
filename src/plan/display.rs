//! The plan as text: what `wgrad plan` prints.

use std::fmt;

use super::{Phase, Plan, Role, Step};
use crate::ops::Access;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} parameters, batches of {} rows, {} on the device",
            grouped(self.parameter_count() as u64),
            self.batch_size,
            bytes(self.device_bytes())
        )?;
        if !self.is_resident {
            writeln!(f, "the data set is streamed in windows of {} rows", grouped(self.data_rows() as u64))?;
        }
        writeln!(f, "\ntensors")?;
        let width = self.tensors.iter().map(|t| t.name.len()).max().unwrap_or(0);
        for tensor in &self.tensors {
            let shape = format!("[{}, {}]", tensor.rows, tensor.columns);
            let role = role_name(tensor.role);
            writeln!(
                f,
                "  {:width$}  {role:<11}  {:?}  {shape:<16}  {:>10}",
                tensor.name,
                tensor.element,
                bytes(tensor.bytes())
            )?;
        }
        for (title, phase) in [("training step", Phase::Train), ("evaluation step", Phase::Evaluate)] {
            let steps = self.steps(phase);
            let plural = if steps.len() == 1 { "" } else { "es" };
            writeln!(f, "\n{title}: {} dispatch{plural}", steps.len())?;
            for (i, step) in steps.iter().enumerate() {
                self.write_step(f, i, step)?;
            }
        }
        Ok(())
    }
}

impl Plan {
    fn write_step(&self, f: &mut fmt::Formatter<'_>, i: usize, step: &Step) -> fmt::Result {
        let arguments = step.op.arguments();
        let names = |written: bool| {
            let chosen = arguments.iter().filter(|a| (a.access != Access::Read) == written);
            let mut names: Vec<String> = Vec::new();
            for argument in chosen {
                let bound = self.bound(argument.binding);
                let name = match bound.as_slice() {
                    [one] => self.tensor(*one).name.clone(),
                    [first, .., last] => format!("{} … {}", self.tensor(*first).name, self.tensor(*last).name),
                    [] => continue,
                };
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            names.join(", ")
        };
        writeln!(f, "  {i:>2}  {:<28} {} → {}", step.label, names(false), names(true))
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Parameter => "parameter",
        Role::Gradient => "gradient",
        Role::Slot(_) => "slot",
        Role::State => "state",
        Role::Features => "features",
        Role::Targets => "targets",
        Role::Order => "order",
        Role::Activation => "activation",
        Role::Results => "results",
        Role::Predictions => "predictions",
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes for people.
pub fn bytes(number: u64) -> String {
    match number {
        0..1024 => format!("{number} B"),
        1024..1_048_576 => format!("{:.1} KiB", number as f64 / 1024.0),
        _ => format!("{:.1} MiB", number as f64 / 1_048_576.0),
    }
}
