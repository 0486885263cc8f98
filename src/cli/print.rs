//! Where words and numbers go: words for people to stdout, or to stderr when stdout carries JSON Lines.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use super::flags::{Color, Shared};
use crate::error::Error;

/// Prints as the flags ask.
pub(super) struct Printer {
    pub json: bool,
    quiet: bool,
    color: Color,
}

impl Printer {
    pub fn new(shared: &Shared) -> Self {
        Printer { json: shared.json, quiet: shared.quiet, color: shared.color }
    }

    /// For what is said when the flags could not be read.
    pub fn before_flags(color: Color) -> Self {
        Printer { json: false, quiet: false, color }
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line for people.
    pub fn say(&self, text: impl std::fmt::Display) {
        if self.quiet {
            return;
        }
        // A reader that has gone away (`| head`) is no fault of ours.
        let _ = if self.json { writeln!(std::io::stderr(), "{text}") } else { writeln!(std::io::stdout(), "{text}") };
    }

    /// A line for people that is not to be mistaken for data: to stderr.
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// What a person should know about the data, unless it is not wanted.
    pub fn caution(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// A heading for people.
    pub fn heading(&self, text: &str) {
        let colored = if self.json { self.colors(&std::io::stderr()) } else { self.colors(&std::io::stdout()) };
        if colored { self.say(format!("\n\x1b[1m{text}\x1b[0m")) } else { self.say(format!("\n{text}")) }
    }

    /// The result itself, which --quiet does not silence.
    pub fn result(&self, text: impl std::fmt::Display) {
        let _ = if self.json { writeln!(std::io::stderr(), "{text}") } else { writeln!(std::io::stdout(), "{text}") };
    }

    /// One line of JSON on stdout, if JSON is wanted.
    pub fn event(&self, event: &impl Serialize) {
        if self.json
            && let Ok(text) = serde_json::to_string(event)
        {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// Something that a person should know though all goes on; on stderr, and not silenced.
    pub fn warn(&self, text: impl std::fmt::Display) {
        let mut stderr = std::io::stderr();
        let label = if self.colors(&stderr) { "\x1b[1;33mwarning:\x1b[0m" } else { "warning:" };
        let _ = writeln!(stderr, "{label} {text}");
    }

    pub fn error(&self, error: &Error) {
        let mut stderr = std::io::stderr();
        let label = if self.colors(&stderr) { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
        let _ = writeln!(stderr, "{label} {error}");
    }

    fn colors(&self, stream: &impl IsTerminal) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}
