//! The command line: parses, calls the library, prints. The only place that prints.

mod bench;
mod chart;
mod cv;
mod device;
mod devices;
mod flags;
mod leaderboard;
mod lr_find;
mod parse;
mod plan;
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

use std::process::ExitCode;
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
    /// Times training steps, CPU against GPU
    #[command(before_help = bench::EXAMPLES)]
    Bench(bench::Flags),
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
    match run(cli, &Overrides::new(&matches), &printer, began) {
        Ok(code) => code,
        Err(error) => refuse(&printer, &error),
    }
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
        Some(Command::Verify(flags)) => verify::run(&flags, shared, overrides, printer),
        Some(Command::Plan(flags)) => plan::run(&flags, shared, overrides, printer),
        Some(Command::LrFind(flags)) => lr_find::run(&flags, shared, overrides, printer),
        Some(Command::Cv(flags)) => return cv::run(&flags, shared, overrides, printer),
        Some(Command::Search(flags)) => return search::run(&flags, shared, overrides, printer),
        Some(Command::Devices) => devices::run(printer),
        Some(Command::Bench(flags)) => bench::run(&flags, shared, printer, began),
    };
    done.map(|()| ExitCode::SUCCESS)
}
