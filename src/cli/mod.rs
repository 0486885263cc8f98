//! The command line: parses, calls the library, prints. The only place that prints.

mod bench;
mod chart;
mod completions;
mod cv;
mod devices;
mod doctor;
mod eval;
mod export;
mod finished;
mod flags;
mod leaderboard;
mod lr_find;
mod machine;
mod man;
mod page;
mod parse;
mod plan;
mod predict;
mod print;
mod progress;
mod project;
mod resume;
mod search;
mod session;
mod signals;
mod tour;
mod train;
mod trial;
mod trials;
mod verify;

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::error::{Error, Result};
use flags::{Overrides, RunFlags, Shared};
use parse::Refusal;
use print::Printer;

const TOUR: &str = "Examples:
  wgrad                                  the tour: trains, verifies, times
  wgrad train digits                     the built-in handwritten digits
  wgrad train houses.csv --target price  a table
  wgrad train mnist/ --hidden 128,64     a folder of MNIST-style IDX files
  wgrad verify houses.csv --device gpu   proves the GPU right on your network";

const ENVIRONMENT: &str = "Variables of the environment stand in for flags: WGRAD_DEVICE=cpu is --device cpu.";

/// Trains neural networks on any GPU, or none, and proves the results.
#[derive(Debug, Parser)]
#[command(name = "wgrad", version, before_help = TOUR, after_help = ENVIRONMENT, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Trains a network and leaves it in a run folder
    #[command(before_help = train::EXAMPLES, after_help = ENVIRONMENT)]
    Train(train::Flags),
    /// Predicts with a finished run, as CSV
    #[command(before_help = predict::EXAMPLES, after_help = ENVIRONMENT)]
    Predict(predict::Flags),
    /// Loss and metrics of a finished run on other data
    #[command(before_help = eval::EXAMPLES, after_help = ENVIRONMENT)]
    Eval(finished::RunAndData),
    /// Writes a finished run as ONNX, with its preprocessing inside the graph
    #[command(before_help = export::EXAMPLES)]
    Export(export::Flags),
    /// Checks every step of a network on a device against the f64 reference
    #[command(before_help = verify::EXAMPLES, after_help = ENVIRONMENT)]
    Verify(verify::Flags),
    /// Prints the compiled steps, shapes, bytes and dispatches without running them
    #[command(before_help = plan::EXAMPLES, after_help = ENVIRONMENT)]
    Plan(RunFlags),
    /// Finds a good learning rate by a range test
    #[command(before_help = lr_find::EXAMPLES, after_help = ENVIRONMENT)]
    LrFind(lr_find::Flags),
    /// Cross-validates: trains k times, each row is tested once
    #[command(before_help = cv::EXAMPLES, after_help = cv::AFTER_HELP)]
    Cv(cv::Flags),
    /// Searches good settings: random search with successive halving
    #[command(before_help = search::EXAMPLES, after_help = search::AFTER_HELP)]
    Search(search::Flags),
    /// Lists the adapters of this machine
    #[command(before_help = devices::EXAMPLES)]
    Devices,
    /// Tests every device of this machine and prints what a bug report needs
    #[command(before_help = doctor::EXAMPLES)]
    Doctor,
    /// Times training steps, CPU against GPU
    #[command(before_help = bench::EXAMPLES)]
    Bench(bench::Flags),
    /// Prints what a shell needs to complete commands and flags
    #[command(before_help = completions::EXAMPLES)]
    Completions(completions::Flags),
    /// Writes the manual pages
    #[command(before_help = man::EXAMPLES)]
    Man(man::Flags),
}

/// Runs the program.
pub fn main() -> ExitCode {
    let began = Instant::now();
    let arguments: Vec<_> = std::env::args_os().collect();
    let color = parse::color(&arguments);
    let matches = match parse::matches(Cli::command(), &arguments, color) {
        Ok(matches) => matches,
        Err(Refusal::Shown(text)) => text.exit(),
        Err(Refusal::Bad(error)) => return refuse(&Printer::before_flags(color), &error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return refuse(&Printer::before_flags(color), &Error::internal(error.to_string())),
    };
    let printer = Printer::new(&cli.shared);
    parse::unknown_variables(&Cli::command()).iter().for_each(|warning| printer.caution(warning));
    std::panic::set_hook(Box::new(note_panic));
    let ended = catch_unwind(AssertUnwindSafe(|| run(cli, &Overrides::new(&matches), &printer, began)));
    match ended.unwrap_or_else(|_| Err(defect())) {
        Ok(code) => code,
        Err(error) => refuse(&printer, &error),
    }
}

/// Where the last panic was, for the sentence about it.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps quiet until it is known whether anybody catches it: a lost device is found by a panic of wgpu.
fn note_panic(panic: &PanicHookInfo) {
    // `payload_as_str` is younger than `rust-version`.
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let what = text.unwrap_or("a panic").lines().next().unwrap_or_default().to_owned();
    let place = panic.location().map_or_else(String::new, |place| format!(" ({}:{})", place.file(), place.line()));
    *PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(format!("{what}{place}"));
}

fn defect() -> Error {
    let what = PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take().unwrap_or_default();
    Error::internal(format!("this is a defect of wgrad: {what}"))
        .remedy("please report it with what `wgrad doctor` prints")
}

fn refuse(printer: &Printer, error: &Error) -> ExitCode {
    printer.error(error);
    ExitCode::from(error.exit_code())
}

fn run(cli: Cli, overrides: &Overrides, printer: &Printer, began: Instant) -> Result<ExitCode> {
    let shared = &cli.shared;
    let done = match cli.command {
        None => tour::run(shared, printer, began),
        Some(Command::Train(flags)) => return train::run(&flags, shared, overrides, printer),
        Some(Command::Predict(flags)) => predict::run(&flags, shared, printer),
        Some(Command::Eval(arguments)) => eval::run(&arguments, shared, printer),
        Some(Command::Export(flags)) => export::run(&flags, printer),
        Some(Command::Verify(flags)) => verify::run(&flags, shared, overrides, printer),
        Some(Command::Plan(flags)) => plan::run(&flags, shared, overrides, printer),
        Some(Command::LrFind(flags)) => lr_find::run(&flags, shared, overrides, printer),
        Some(Command::Cv(flags)) => return cv::run(&flags, shared, overrides, printer),
        Some(Command::Search(flags)) => return search::run(&flags, shared, overrides, printer),
        Some(Command::Devices) => devices::run(printer),
        Some(Command::Doctor) => doctor::run(shared, printer),
        Some(Command::Bench(flags)) => bench::run(&flags, shared, printer, began),
        Some(Command::Completions(flags)) => completions::run(&flags, Cli::command()),
        Some(Command::Man(flags)) => man::run(&flags, Cli::command(), printer),
    };
    done.map(|()| ExitCode::SUCCESS)
}
