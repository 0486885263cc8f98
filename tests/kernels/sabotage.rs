//! The comparison must fail where something is wrong: each test here breaks one thing and wants to be told.

use libtest_mimic::Failed;
use wgrad::gpu::{Device, Options};
use wgrad::model::activations::IDENTITY;
use wgrad::model::tracked::Tracked;
use wgrad::ops::GpuTiles;
use wgrad::ops::dense::Dense;
use wgrad::ops::{Argument, Batch, Cells, Class, Immediates, Input, Op, Region, TensorId, Tile};

use crate::bench::{Bench, batch};
use crate::device::Test;

pub const TESTS: &[(&str, Test)] = &[
    ("sabotage_a_twin_off_by_a_thousandth_is_noticed", wrong_twin),
    ("sabotage_a_kernel_off_by_a_thousandth_is_noticed_at_4096_terms_too", wrong_kernel),
    ("sabotage_a_nan_in_an_input_is_noticed", nan),
    ("sabotage_an_unwritten_output_is_noticed", unwritten),
    ("sabotage_a_row_too_many_is_noticed", row_too_many),
    ("sabotage_a_write_past_the_end_names_the_tensor", past_the_end),
    ("sabotage_a_miscounted_step_is_noticed", miscounted),
];

/// What is wrong with a dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The reference is off by a relative 1e-3.
    Twin,
    /// The kernel is.
    Kernel,
    /// One workgroup less than needed.
    Unwritten,
    /// One row more than asked for.
    RowTooMany,
    /// One `vec4` is written behind the output's last.
    PastTheEnd,
}

/// Rows of the output.
const ROWS: usize = 40;

/// A dense layer with a fault.
#[derive(Debug)]
struct Broken {
    dense: Dense,
    fault: Fault,
}

impl Op for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }
    fn arguments(&self) -> Vec<Argument> {
        self.dense.arguments()
    }
    fn sources(&self, class: Class) -> Vec<String> {
        let mut sources = self.dense.sources(class);
        if self.fault == Fault::Kernel {
            let sum = "let z = sum + bias_at(n4);";
            assert!(sources[0].contains(sum), "the sabotage needs this line");
            sources[0] = sources[0].replace(sum, "let z = 1.001 * (sum + bias_at(n4));");
        }
        if self.fault == Fault::PastTheEnd {
            let kernel = "    let tile = p.group";
            assert!(sources[0].contains(kernel), "the sabotage needs this line");
            let past = format!("    y[{ROWS}u * p.y_pitch] = stored(vec4(1.0));\n");
            sources[0] = sources[0].replace(kernel, &format!("{past}{kernel}"));
        }
        sources
    }
    fn immediates(&self, batch: &Batch) -> Immediates {
        let extra = u32::from(self.fault == Fault::RowTooMany);
        self.dense.immediates(&Batch { count: batch.count + extra, ..*batch })
    }
    fn workgroups(&self, batch: &Batch, tile: Tile) -> u64 {
        self.dense.workgroups(batch, tile) - u64::from(self.fault == Fault::Unwritten)
    }
    fn flops(&self, batch: &Batch) -> u64 {
        self.dense.flops(batch)
    }
    fn iterations(&self, class: Class, batch: &Batch, tile: Tile) -> Vec<(u64, u64)> {
        self.dense.iterations(class, batch, tile)
    }
    fn written(&self, tensor: TensorId, batch: &Batch) -> Region {
        self.dense.written(tensor, batch)
    }
    fn twin_f32(&self, cells: &Cells<f32>, batch: &Batch) {
        self.dense.twin_f32(cells, batch);
    }
    fn twin_f64(&self, cells: &Cells<f64>, batch: &Batch) {
        self.dense.twin_f64(cells, batch);
    }
    fn twin_tracked(&self, cells: &Cells<Tracked>, batch: &Batch) {
        self.dense.twin_tracked(cells, batch);
        if self.fault == Fault::Twin {
            for y in cells.write(self.dense.output).iter_mut() {
                y.value *= 1.001;
            }
        }
    }
}

/// A layer of 33 units on 40 rows of which 38 are used: more than one tile of either class.
fn bench(fault: Fault, features: usize, spoil: impl FnOnce(&mut [f32]), elements: usize) -> Bench {
    let mut bench = Bench::new(71);
    let (rows, count, units) = (ROWS, 38, 33);
    let mut x = bench.numbers(rows * features, -1.0..1.0);
    spoil(&mut x);
    let weight = bench.numbers(units * features, -1.0..1.0);
    let dense = Dense {
        input: Input::Batch { tensor: bench.input(rows, features, x), features },
        weight: bench.input(units, features, weight),
        bias: None,
        output: bench.output(rows, units),
        saved: None,
        units,
        tiles: GpuTiles::Shared32,
        activation: &IDENTITY,
        drop: None,
    };
    bench.step(Broken { dense, fault }, batch(count), elements);
    bench
}

const ELEMENTS: usize = 38 * 33;

/// Runs the bench for both classes and wants each to fail with words that contain `why`.
fn wants_failure(device: &Device, why: &str, bench: impl Fn() -> Bench) -> Result<(), Failed> {
    for class in [Class::Software, device.class(), Class::Hardware, Class::Tiny] {
        match bench().run(device, Options { class: Some(class), ..Options::default() }) {
            Ok(tally) => return Err(format!("{class:?} passed: {tally:?}").into()),
            Err(message) if message.contains(why) => {}
            Err(message) => return Err(format!("`{why}` is not in: {message}").into()),
        }
    }
    Ok(())
}

fn wrong_twin(device: &Device) -> Result<(), Failed> {
    for features in [3, 4096] {
        // Without the fault it passes: nothing but the fault is noticed.
        bench(Fault::None, features, |_| {}, ELEMENTS).run(device, Options::default())?;
        wants_failure(device, "the reference", || bench(Fault::Twin, features, |_| {}, ELEMENTS))?;
    }
    Ok(())
}

fn wrong_kernel(device: &Device) -> Result<(), Failed> {
    for features in [3, 64, 4096] {
        bench(Fault::None, features, |_| {}, ELEMENTS).run(device, Options::default())?;
        wants_failure(device, "the reference", || bench(Fault::Kernel, features, |_| {}, ELEMENTS))?;
    }
    Ok(())
}

fn nan(device: &Device) -> Result<(), Failed> {
    wants_failure(device, "the reference NaN", || bench(Fault::None, 5, |x| x[7] = f32::NAN, ELEMENTS))
}

fn unwritten(device: &Device) -> Result<(), Failed> {
    wants_failure(device, "is NaN, the reference", || bench(Fault::Unwritten, 5, |_| {}, ELEMENTS))
}

fn row_too_many(device: &Device) -> Result<(), Failed> {
    wants_failure(device, "[38, 0] is not to be written", || bench(Fault::RowTooMany, 5, |_| {}, ELEMENTS))
}

fn past_the_end(device: &Device) -> Result<(), Failed> {
    wants_failure(device, "written past the end of tensor2", || bench(Fault::PastTheEnd, 5, |_| {}, ELEMENTS))
}

fn miscounted(device: &Device) -> Result<(), Failed> {
    wants_failure(device, "elements compared, expected", || bench(Fault::None, 5, |_| {}, ELEMENTS + 1))
}
