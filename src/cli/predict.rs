//! `wgrad predict`.

use std::io::{ErrorKind, Write};
use std::path::Path;

use clap::Args;

use super::finished::{Finished, RunAndData};
use super::flags::Shared;
use super::print::Printer;
use crate::error::{Error, Result};
use crate::file;
use crate::plan::grouped;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad predict runs/first new.csv                     CSV to the terminal
  wgrad predict runs/first new.csv -o predictions.csv
  wgrad predict runs/first new.csv --json              JSON Lines
  cat new.csv | wgrad predict runs/first - | head";

#[derive(Debug, Args)]
pub(super) struct Flags {
    #[command(flatten)]
    pub files: RunAndData,
    /// The file to write; - is standard output
    #[arg(long, short, env = "WGRAD_OUTPUT", hide_env = true, default_value = "-", value_name = "FILE")]
    pub output: String,
}

pub(super) fn run(flags: &Flags, shared: &Shared, printer: &Printer) -> Result<()> {
    let (input, output) = (Path::new(&flags.files.data), Path::new(&flags.output));
    if input.is_file() && std::fs::canonicalize(input).ok() == std::fs::canonicalize(output).ok() {
        return Err(Error::usage("this is the data itself").at("--output").remedy("name another file"));
    }
    let mut finished = Finished::open(&flags.files, shared, false)?;
    let predictions = finished.model.predict(finished.executor.as_mut(), &finished.data)?;
    finished.data.notes.iter().for_each(|note| printer.caution(note));
    if predictions.overflown() > 0 {
        let rows = grouped(predictions.overflown() as u64);
        printer.caution(format!("the network's answer to {rows} rows is no finite number: their values are too large"));
    }
    let mut bytes = Vec::new();
    let written = if printer.json { predictions.write_json(&mut bytes) } else { predictions.write_csv(&mut bytes) };
    written.map_err(|error| Error::internal(error.to_string()))?;
    if flags.output == "-" {
        return deliver(&bytes);
    }
    file::write(output, &bytes)?;
    let (rows, s) = (predictions.rows(), if predictions.rows() == 1 { "" } else { "s" });
    printer.note(format!("{} prediction{s}: {}", grouped(rows as u64), flags.output));
    Ok(())
}

/// To standard output.
pub(super) fn deliver(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // A reader that has seen enough (`| head`) is no fault.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::output(format!("cannot be written: {error}"))
                .at("standard output")
                .remedy("name a file instead"))
        }
        _ => Ok(()),
    }
}
