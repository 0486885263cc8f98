//! `wgrad man`: the manual, a page for each command, from the same texts as `--help`.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::predict;
use super::print::Printer;
use crate::error::{Error, Result};
use crate::file;

pub(super) const EXAMPLES: &str = "Examples:
  wgrad man | man -l -                 the page of wgrad itself
  wgrad man ~/.local/share/man/man1    a page for each command: man wgrad-train";

#[derive(Debug, Args)]
pub(super) struct Flags {
    /// The folder for the pages of all commands; without it, wgrad's own page goes to standard output
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

pub(super) fn run(flags: &Flags, mut program: Command, printer: &Printer) -> Result<()> {
    // So that a command knows its full name and the flags that it shares.
    program.build();
    let unwritten = |error: std::io::Error| Error::internal(error.to_string());
    let Some(folder) = &flags.folder else {
        return predict::deliver(&page(&program).map_err(unwritten)?);
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::output(format!("cannot be made: {error}")).at(folder.display()).remedy("name another folder")
    })?;
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        let name = Man::new(command.clone()).get_filename();
        file::write(&folder.join(name), &page(command).map_err(unwritten)?)?;
    }
    printer.say(format!("{} pages: {}", 1 + program.get_subcommands().count(), folder.display()));
    Ok(())
}

/// The page of a command in roff. clap's own leaves out the examples.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let help = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    if let Some(examples) = help.strip_prefix("Examples:\n") {
        Roff::new()
            .control("SH", ["EXAMPLES"])
            .control("nf", [])
            .text([roman(examples)])
            .control("fi", [])
            .to_writer(&mut page)?;
    }
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(more) = command.get_after_help() {
        Roff::new().control("SH", ["NOTES"]).text([roman(more.to_string())]).to_writer(&mut page)?;
    }
    Ok(page)
}
