//! `wgrad` without a command: the tour of this machine.

use std::time::Instant;

use super::bench;
use super::flags::{RunFlags, Shared};
use super::print::Printer;
use super::progress::Told;
use super::project::Project;
use super::session::Session;
use super::train;
use crate::bench::Subject;
use crate::device::Chosen;
use crate::error::Result;
use crate::gpu;
use crate::plan::grouped;

pub(super) fn run(shared: &Shared, printer: &Printer, began: Instant) -> Result<()> {
    printer.say("wgrad trains neural networks on any GPU, or on the CPU, and proves the results.");
    printer.heading("1. Training: the built-in digits, 1,797 images of 8×8 pixels, 10 classes");
    let flags = RunFlags::of("digits");
    let overrides = super::flags::Overrides::none();
    let project = Project::open(&flags, shared, &overrides, None)?;
    let outcome = Session::new(&project, printer, Told::TenthEpochs).run(None)?;
    if let Some((set, loss, metrics, baseline)) = outcome.sets.last() {
        printer.say(train::verdict(set.name(), *loss, metrics, baseline));
        printer.say(format!("trained in {:.1} s on {}", outcome.seconds, project.device.info().adapter));
    }
    let adapters = gpu::adapters()?;
    let Some(best) = adapters.first() else {
        printer.heading("2. Verification and timing: no Vulkan, Metal or DX12 adapter is here");
        printer.say("Everything above ran on the CPU path. With a GPU driver (or, to try it out,");
        printer.say("`apt install mesa-vulkan-drivers`) the tour also verifies and times that adapter.");
        return next(printer);
    };
    let on_adapter = match &project.device {
        Chosen::Gpu(_) => project,
        Chosen::Cpu { .. } => {
            let shared = Shared { device: best.index.to_string(), ..shared.clone() };
            Project::open(&flags, &shared, &overrides, None)?
        }
    };
    let info = on_adapter.device.info();
    let kind = if info.software { " (software: right but slow)" } else { "" };
    printer.heading(&format!("2. Verification: {}{kind}", info.adapter));
    let report = on_adapter.verify()?;
    report.verdict(&info.adapter)?;
    printer.say(format!(
        "Each of the {} steps of training and evaluation ran there and on an f64 reference:",
        on_adapter.plan.train.len() + on_adapter.plan.evaluate.len()
    ));
    printer.say(format!("all {} numbers are within their derived error bounds.", grouped(report.compared() as u64)));
    printer.heading("3. Timing: one training step of 784-128-64-10 (an MNIST network), batch 64");
    let subject = Subject::parse("784-128-64-10", 64, shared.seed())?;
    let cpu = bench::time(&subject, &Chosen::Cpu { threads: shared.threads() }, 50, false, began)?;
    let gpu = bench::time(&subject, &on_adapter.device, 50, false, Instant::now())?;
    printer.say(format!("CPU  {:>8.3} ms  {}", cpu.ms_per_step, cpu.adapter));
    printer.say(format!("GPU  {:>8.3} ms  {}", gpu.ms_per_step, gpu.adapter));
    let (faster, ratio) = if gpu.ms_per_step < cpu.ms_per_step {
        ("adapter", cpu.ms_per_step / gpu.ms_per_step)
    } else {
        ("CPU path", gpu.ms_per_step / cpu.ms_per_step)
    };
    printer.say(format!("The {faster} is {ratio:.1} times as fast here."));
    next(printer)
}

fn next(printer: &Printer) -> Result<()> {
    printer.heading("What to type next");
    printer.say("  wgrad train your.csv --target COLUMN      train on a table of your own");
    printer.say("  wgrad train digits --device gpu --verify  train on the adapter, verified first");
    printer.say("  wgrad bench                               from which size on the GPU pays");
    printer.say("  wgrad train --help                        everything else");
    printer.say("(Not installed? Type `cargo run --release --` instead of `wgrad`.)");
    Ok(())
}
