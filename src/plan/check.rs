//! What must hold for a plan before a device sees it, found on any machine.

use std::collections::HashSet;

use super::{Element, Phase, Plan, Role, Step, Tensor};
use crate::error::{Error, Result};
use crate::ops::{Access, Batch, Binding, Class, TensorId, Tile};

/// Storage buffers a kernel may bind: WebGPU's default.
pub const MAX_BINDINGS: usize = 8;

impl Plan {
    /// Checks the rules that devices do not forgive: a buffer bound for reading and for writing in one step, too many
    /// bindings, a read of what no earlier step has written, a tensor larger than one binding.
    pub fn check(&self, max_binding: u64) -> Result<()> {
        for tensor in &self.tensors {
            if tensor.bytes() > max_binding {
                return Err(too_large(tensor, max_binding));
            }
        }
        for phase in [Phase::Train, Phase::Evaluate] {
            let mut written: HashSet<TensorId> = self.ids().filter(|&id| self.is_resident(id)).collect();
            for step in self.steps(phase) {
                self.check_step(step, &mut written)?;
            }
        }
        Ok(())
    }

    /// Checks that the loops of no invocation take more iterations than a device lets them, whose kernels in each phase
    /// are those of a class.
    pub fn check_loops(&self, most: u64, class: impl Fn(Phase) -> Class) -> Result<()> {
        for (phase, rows) in [(Phase::Train, self.batch_size), (Phase::Evaluate, self.evaluation_batch_size)] {
            let batch = Batch { count: rows as u32, ..Batch::default() };
            for step in self.steps(phase) {
                // How many workgroups there are does not matter here.
                let runs = step.op.iterations(class(phase), &batch, Tile { threads: 1, rows: 1, columns: 1 });
                let longest = runs.iter().map(|&(_, iterations)| iterations).max().unwrap_or(0);
                if longest > most {
                    return Err(Error::device(format!(
                        "`{}` on {rows} rows loops {longest} times, and a device that runs shaders on the processor may \
                         end loops after {most} without an error",
                        step.label
                    ))
                    .remedy("use --device cpu, or a smaller batch where the batch is that long"));
                }
            }
        }
        Ok(())
    }

    /// Filled by the host or kept between steps.
    fn is_resident(&self, id: TensorId) -> bool {
        use Role::{Features, Order, Parameter, Slot, State, Targets};
        matches!(self.tensor(id).role, Parameter | Slot(_) | State | Features | Targets | Order)
    }

    fn check_step(&self, step: &Step, written: &mut HashSet<TensorId>) -> Result<()> {
        let defect = |what: String| Err(Error::internal(format!("the step `{}` {what}", step.label)));
        let arguments = step.op.arguments();
        if arguments.len() > MAX_BINDINGS {
            return defect(format!("binds {} buffers, {MAX_BINDINGS} at most", arguments.len()));
        }
        // The flat buffers are one buffer each: what counts is the role there, the tensor elsewhere.
        let buffer = |id: TensorId| match self.tensor(id).role {
            role @ (Role::Parameter | Role::Gradient | Role::Slot(_)) => (role, usize::MAX),
            role => (role, id.0),
        };
        for (i, argument) in arguments.iter().enumerate() {
            let tensors = self.bound(argument.binding);
            for id in tensors {
                if argument.access == Access::Read && !written.contains(&id) {
                    return defect(format!("reads {} before anything wrote it", self.tensor(id).name));
                }
                for other in &arguments[..i] {
                    let shared = self.bound(other.binding).into_iter().any(|b| buffer(b) == buffer(id));
                    if shared && (argument.access == Access::Read) != (other.access == Access::Read) {
                        return defect(format!(
                            "binds the buffer of {} for reading and for writing",
                            self.tensor(id).name
                        ));
                    }
                }
            }
        }
        for argument in arguments.iter().filter(|argument| argument.access != Access::Read) {
            written.extend(self.bound(argument.binding));
        }
        Ok(())
    }

    /// The tensors a binding shows.
    pub fn bound(&self, binding: Binding) -> Vec<TensorId> {
        match binding {
            Binding::Tensor(id) => vec![id],
            Binding::Flat(first, last) => (first.0..=last.0).map(TensorId).collect(),
        }
    }
}

fn too_large(tensor: &Tensor, max_binding: u64) -> Error {
    let what = match tensor.element {
        Element::U8 => "bytes",
        _ => "numbers",
    };
    Error::device(format!(
        "{} needs one binding of {} bytes ({} × {} {what}), the device allows {max_binding}",
        tensor.name,
        tensor.bytes(),
        tensor.rows,
        tensor.columns
    ))
    .remedy("use --device cpu, fewer units or a smaller batch")
}

#[cfg(test)]
mod tests {
    use crate::layers::tests::{plan, shape};
    use crate::ops::{Argument, Batch, Class, Immediates, Op, Region, TensorId, Tile};

    /// An op with any arguments, for breaking rules.
    #[derive(Debug)]
    struct Fake(Vec<Argument>);

    impl Op for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }
        fn arguments(&self) -> Vec<Argument> {
            self.0.clone()
        }
        fn sources(&self, _: Class) -> Vec<String> {
            Vec::new()
        }
        fn immediates(&self, _: &Batch) -> Immediates {
            Immediates::of(&0u32)
        }
        fn workgroups(&self, _: &Batch, _: Tile) -> u64 {
            1
        }
        fn flops(&self, _: &Batch) -> u64 {
            0
        }
        fn iterations(&self, _: Class, _: &Batch, _: Tile) -> Vec<(u64, u64)> {
            Vec::new()
        }
        fn written(&self, _: TensorId, _: &Batch) -> Region {
            Region::All
        }
        fn twin_f32(&self, _: &crate::ops::Cells<f32>, _: &Batch) {}
        fn twin_f64(&self, _: &crate::ops::Cells<f64>, _: &Batch) {}
        fn twin_tracked(&self, _: &crate::ops::Cells<crate::model::tracked::Tracked>, _: &Batch) {}
    }

    fn refusal(arguments: impl Fn(&dyn Fn(&str) -> TensorId) -> Vec<Argument>) -> String {
        let mut plan = plan(&[8, 4], shape(20, 5, 3));
        plan.check(u64::MAX).unwrap();
        let arguments = arguments(&|name| plan.find(name).unwrap());
        plan.train.insert(0, crate::plan::Step { label: "fake".into(), op: Box::new(Fake(arguments)) });
        plan.check(u64::MAX).unwrap_err().to_string()
    }

    #[test]
    fn a_buffer_bound_for_reading_and_writing_is_refused() {
        let message = refusal(|id| vec![Argument::read(id("layers.0.weight")), Argument::write(id("layers.1.bias"))]);
        assert_eq!(message, "the step `fake` binds the buffer of layers.1.bias for reading and for writing");
    }

    #[test]
    fn a_read_before_any_write_is_refused() {
        let message = refusal(|id| vec![Argument::read(id("layers.0.output"))]);
        assert_eq!(message, "the step `fake` reads layers.0.output before anything wrote it");
    }

    #[test]
    fn more_than_eight_bindings_are_refused() {
        let message = refusal(|id| vec![Argument::read(id("order")); 9]);
        assert_eq!(message, "the step `fake` binds 9 buffers, 8 at most");
    }

    #[test]
    fn a_tensor_beyond_one_binding_is_named_with_its_bytes() {
        let plan = plan(&[8, 4], shape(20, 5, 3));
        let message = plan.check(100).unwrap_err().to_string();
        assert!(
            message.starts_with("features needs one binding of 640 bytes (20 × 5 numbers), the device allows 100"),
            "{message}"
        );
    }
}
