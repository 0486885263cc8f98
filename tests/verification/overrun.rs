//! A kernel that writes where it must not: behind the last row of a parameter, into the gap before the next one.

use std::sync::Arc;

use libtest_mimic::Failed;
use wgrad::gpu::{Device, GpuExecutor, Options};
use wgrad::layers;
use wgrad::model::tracked::Tracked;
use wgrad::ops::{Argument, Batch, Cells, Class, Immediates, Op, Region, TensorId, Tile};
use wgrad::plan::Step;
use wgrad::train::setup;
use wgrad::verify;

use crate::device::Test;
use crate::subject::{Subject, classes, ensure};
use crate::{batches, reference};

pub const GPU: &[(&str, Test)] =
    &[("a_kernel_that_writes_past_the_end_of_a_parameter_fails_with_its_name", past_the_end)];

/// The update of the parameters, and one number in the gap.
#[derive(Debug)]
struct Overrun(Box<dyn Op>);

impl Op for Overrun {
    fn name(&self) -> &'static str {
        "overrun"
    }
    fn arguments(&self) -> Vec<Argument> {
        self.0.arguments()
    }
    fn sources(&self, class: Class) -> Vec<String> {
        let mut sources = self.0.sources(class);
        let last = "    w[i] = stored(optimize(i, weight, kept, is_matrix));\n";
        assert!(sources[0].contains(last), "the sabotage needs this line");
        sources[0] = sources[0].replace(last, &format!("{last}    if (i == {GAP}u) {{ w[i] = stored(vec4(1.0)); }}\n"));
        sources
    }
    fn immediates(&self, batch: &Batch) -> Immediates {
        self.0.immediates(batch)
    }
    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        self.0.workgroups(batch, tile)
    }
    fn flops(&self, batch: &Batch) -> u64 {
        self.0.flops(batch)
    }
    fn iterations(&self, class: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        self.0.iterations(class, batch, tile)
    }
    fn written(&self, tensor: TensorId, batch: &Batch) -> Region {
        self.0.written(tensor, batch)
    }
    fn twin_f32(&self, cells: &Cells<f32>, batch: &Batch) {
        self.0.twin_f32(cells, batch);
    }
    fn twin_f64(&self, cells: &Cells<f64>, batch: &Batch) {
        self.0.twin_f64(cells, batch);
    }
    fn twin_tracked(&self, cells: &Cells<Tracked>, batch: &Batch) {
        self.0.twin_tracked(cells, batch);
    }
}

/// The first parameter is 3 rows of 5 numbers and 3 zeros: 6 `vec4`s. The next begins at the 16th.
const GAP: usize = 6;

fn past_the_end(device: &Device) -> Result<(), Failed> {
    let run = r#"
        model.layers = [{ type = "dense", units = 3, activation = "relu" }, { type = "dense" }]
        optimizer.name = "sgd"
        train.batch_size = 16"#;
    let subject = Subject::new(run, classes(20, 5, 3));
    let report = |broken: bool| -> Result<_, Failed> {
        let mut plan = layers::compile(&subject.config, setup::shape(&subject.data), subject.max_binding)
            .map_err(|(key, error)| format!("{key}: {error}"))?;
        if broken {
            let Step { label, op } = plan.train.pop().ok_or("a training step ends with the update")?;
            plan.train.push(Step { label, op: Box::new(Overrun(op)) });
        }
        let mut executor = GpuExecutor::new(device, Arc::new(plan), Options::default())?;
        subject.load(&mut executor)?;
        Ok(verify::verify(&mut executor, &mut reference(&subject)?, &batches(&subject)?)?)
    };
    report(false)?.verdict("this device")?;
    let error = report(true)?.verdict("this device").err().ok_or("a write past the end passed")?;
    let want = "this device: something was written past the end of layers.0.weight; ";
    ensure(error.exit_code() == 7 && error.to_string().starts_with(want), || error.to_string())
}
