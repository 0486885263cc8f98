//! `wgrad bench`: CPU against GPU.

use std::time::Instant;

use clap::{Args, ValueEnum};

use super::flags::{Shared, count};
use super::print::Printer;
use crate::bench::{self, Measurement, Subject};
use crate::cpu::CpuExecutor;
use crate::device::{self, Chosen};
use crate::error::Result;
use crate::gpu;
use crate::model::tracked::Tracked;
use crate::plan::Phase;
use crate::train::setup::{self, RowWeights};
use crate::verify;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad bench    a grid of widths and batches, and from where the GPU wins
  wgrad bench --layers 784-128-64-10 --batch-size 64 --device cpu,gpu --json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// Features, hidden units and classes; without it, a grid
    #[arg(long, value_name = "N-N-…-N")]
    layers: Option<String>,
    /// Rows of a batch
    #[arg(long, default_value_t = 256, allow_negative_numbers = true, value_parser = count, value_name = "N")]
    batch_size: u32,
    /// Steps of one repeat; the median of at least 5 repeats is reported
    #[arg(long, default_value_t = 200, allow_negative_numbers = true, value_parser = count, value_name = "N")]
    steps: u32,
    /// Checks one step against the f64 reference, after timing
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "WHEN")]
    verify: Switch,
    /// Times each op of the step by itself
    #[arg(long)]
    profile: bool,
}

pub(super) fn run(flags: &Flags, shared: &Shared, printer: &Printer, began: Instant) -> Result<()> {
    // Unless devices are named, the two that the table compares, where there are two.
    let names = if shared.device == "auto" { "cpu,gpu" } else { shared.device.as_str() };
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    match &flags.layers {
        Some(layers) => one(
            &Subject::parse(layers, flags.batch_size as usize, shared.seed())?,
            flags,
            &names,
            shared,
            printer,
            began,
        ),
        None => grid(&names, shared, printer, began),
    }
}

fn one(
    subject: &Subject,
    flags: &Flags,
    names: &[&str],
    shared: &Shared,
    printer: &Printer,
    began: Instant,
) -> Result<()> {
    let mut began = Some(began);
    for name in names {
        if is_absent(name, shared)? {
            printer.say("no Vulkan, Metal or DX12 adapter was found to compare with");
            continue;
        }
        // The first device pays for the start of the process.
        let began = began.take().unwrap_or_else(Instant::now);
        let (chosen, _) = device::choose(name, shared.threads())?;
        let measurement = time(subject, &chosen, flags.steps as usize, flags.verify == Switch::On, began)?;
        printer.event(&measurement);
        printer.result(line(&measurement));
        if flags.profile {
            profile(subject, &chosen, flags.steps as usize, measurement.ms_per_step, printer)?;
        }
    }
    Ok(())
}

/// Whether a GPU that nobody asked for is not there. Asked only when its turn comes: looking for one takes time that
/// the CPU's start must not be charged with.
fn is_absent(name: &str, shared: &Shared) -> Result<bool> {
    Ok(shared.device == "auto" && name == "gpu" && gpu::adapters()?.is_empty())
}

/// A table of the time each op takes by itself after some steps, with the zeros of a network that trains.
fn profile(subject: &Subject, chosen: &Chosen, steps: usize, ms_per_step: f64, printer: &Printer) -> Result<()> {
    let data = subject.data()?;
    let mut executor = chosen.executor(subject.plan(&data, chosen.max_binding())?)?;
    let config = subject.config();
    setup::load_data(executor.as_mut(), &data, &RowWeights::new(&config, &data)?)?;
    let start = setup::start_weights(executor.plan(), &config)?;
    setup::write_weights(executor.as_mut(), &start)?;
    executor.run(Phase::Train, &bench::batches(subject, &data, 0..steps)?)?;
    executor.wait()?;
    let rows = bench::profile(executor.as_mut(), &bench::first_batch(subject))?;
    let line = |step: &str, device: &str, wall: &str, megabytes: &str, gflops: &str, share: &str| {
        let text = format!("  {step:24} {device:>10} {wall:>10} {megabytes:>9} {gflops:>8} {share:>6}");
        printer.result(text.trim_end());
    };
    line("op by itself", "device, ms", "wall, ms", "MB", "GFLOP/s", "share");
    let ms = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.3}"));
    for row in &rows {
        printer.event(&serde_json::json!({"event": "profile", "row": row}));
        let (device, wall, megabytes) = (ms(row.device_ms), ms(Some(row.wall_ms)), row.bytes as f64 / 1e6);
        let (gflops, share) = (format!("{:.1}", row.gflops), format!("{:.1} %", 100.0 * row.share));
        line(&row.step, &device, &wall, &format!("{megabytes:.2}"), &gflops, &share);
    }
    let (device, wall): (Option<f64>, f64) =
        (rows.iter().map(|row| row.device_ms).sum(), rows.iter().map(|row| row.wall_ms).sum());
    line("all", &ms(device), &ms(Some(wall)), "", "", "");
    line("a training step", "", &ms(Some(ms_per_step)), "", "", "");
    Ok(())
}

/// Times a network on a device and, if asked to, checks one step of it afterwards.
pub(super) fn time(
    subject: &Subject,
    chosen: &Chosen,
    steps: usize,
    check: bool,
    began: Instant,
) -> Result<Measurement> {
    let data = subject.data()?;
    let plan = subject.plan(&data, chosen.max_binding())?;
    let mut executor = chosen.executor(plan.clone())?;
    let mut measurement = bench::measure(subject, &data, executor.as_mut(), steps, began)?;
    if check {
        let config = subject.config();
        let mut reference = CpuExecutor::<Tracked>::new(plan.clone(), 1)?;
        let batches = [bench::first_batch(subject)];
        let report = verify::network(executor.as_mut(), &mut reference, &config, &data, &batches)?;
        measurement.verified = Some(report.passed());
        report.verdict(&chosen.info().adapter)?;
    }
    Ok(measurement)
}

fn line(m: &Measurement) -> String {
    format!(
        "{:4} {}  {} batch {}: {:.3} ms a step, {:.0} samples/s, {:.1} GFLOP/s, {:.3} dispatches a step, first loss after {:.0} ms{}",
        m.device,
        m.adapter,
        m.layers,
        m.batch_size,
        m.ms_per_step,
        m.samples_per_second,
        m.gflops,
        m.dispatches_per_step,
        m.startup_ms,
        match m.verified {
            Some(_) => ", verified",
            None => "",
        }
    )
}

fn grid(names: &[&str], shared: &Shared, printer: &Printer, began: Instant) -> Result<()> {
    let (widths, batches) = bench::GRID;
    let mut devices = Vec::new();
    for name in names {
        if !is_absent(name, shared)? {
            devices.push(device::choose(name, shared.threads())?.0);
        }
    }
    printer.result(format!(
        "ms a step of 64-width-width-10: {}",
        devices.iter().map(|d| d.info().adapter).collect::<Vec<_>>().join(" | ")
    ));
    printer.result(format!(
        "{:>6}  {}",
        "width",
        batches.iter().map(|b| format!("{:>22}", format!("batch {b}"))).collect::<String>()
    ));
    let (mut wins, mut began) = (Vec::new(), Some(began));
    for &width in widths {
        let mut row = format!("{width:>6}  ");
        for &batch in batches {
            let subject = bench::grid_subject(width, batch, shared.seed());
            let steps = (2_000_000_000 / (6 * (64 * width + width * width) * batch)).clamp(3, 50);
            let mut cells = Vec::new();
            for chosen in &devices {
                let began = began.take().unwrap_or_else(Instant::now);
                let measurement = time(&subject, chosen, steps, false, began)?;
                printer.event(&measurement);
                cells.push(measurement.ms_per_step);
            }
            if let [cpu, gpu] = cells[..]
                && gpu < cpu
            {
                wins.push((width, batch));
            }
            row += &format!("{:>22}", cells.iter().map(|ms| format!("{ms:.3}")).collect::<Vec<_>>().join(" | "));
        }
        printer.result(row);
    }
    if devices.len() == 2 {
        let (first, second) = (devices[0].info(), devices[1].info());
        printer.result(format!("crossover: {}", crossover(&first.adapter, &second.adapter, &wins)));
        printer.event(&serde_json::json!({"event": "crossover", "wins": wins}));
    }
    Ok(())
}

/// From where the second device wins, in words: for each width the least batch from which on it wins at every larger one.
fn crossover(first: &str, second: &str, wins: &[(usize, usize)]) -> String {
    let (widths, batches) = bench::GRID;
    let from = |width: usize| batches.iter().rev().take_while(|batch| wins.contains(&(width, **batch))).last();
    let found: Vec<String> = widths
        .iter()
        .filter_map(|&width| from(width).map(|batch| format!("at width {width} from batch {batch} on")))
        .collect();
    match (found.is_empty(), wins.is_empty()) {
        (true, true) => format!("{first} is faster everywhere in this grid"),
        (true, false) => {
            format!("{first} is faster in all but {} of {} cells", wins.len(), widths.len() * batches.len())
        }
        _ => format!("{second} wins {}", found.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crossover_is_where_every_larger_batch_wins_too() {
        assert_eq!(crossover("cpu", "gpu", &[]), "cpu is faster everywhere in this grid");
        assert_eq!(crossover("cpu", "gpu", &[(16, 64)]), "cpu is faster in all but 1 of 16 cells");
        let wins = [(64, 1024), (256, 16), (256, 256), (256, 1024)];
        let text = "gpu wins at width 64 from batch 1024 on, at width 256 from batch 256 on";
        assert_eq!(crossover("cpu", "gpu", &wins), text);
    }
}
