//! From the command line to flags: what clap refuses is said like every other error, in one sentence with its remedy,
//! and a variable of the environment that is set but empty counts as not set.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command};

use super::flags::Color;
use crate::error::{Error, suggestion};

/// What a command line can be besides good.
pub(super) enum Refusal {
    /// `--help` or `--version`: clap prints it.
    Shown(clap::Error),
    Bad(Error),
}

pub(super) fn matches(command: Command, arguments: &[OsString], color: Color) -> Result<ArgMatches, Refusal> {
    let command = without_empty_variables(command).color(color.for_help());
    command.try_get_matches_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Shown(error),
        _ => Refusal::Bad(sentence(&error, arguments)),
    })
}

/// Colours are wanted or not before clap has read the flag that says so.
pub(super) fn color(arguments: &[OsString]) -> Color {
    let mut color = Color::Auto;
    for (i, argument) in arguments.iter().enumerate() {
        let Some(argument) = argument.to_str() else { continue };
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.get(i + 1).and_then(|next| next.to_str()),
            Some(value) => value.strip_prefix('='),
            None => None,
        };
        color = match value {
            Some("always") => Color::Always,
            Some("never") => Color::Never,
            _ => color,
        };
    }
    color
}

fn without_empty_variables(command: Command) -> Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let drop_empty = move |argument: clap::Arg| {
        let empty = argument.get_env().is_some_and(is_empty);
        if empty { argument.env(Resettable::Reset) } else { argument }
    };
    command.mut_args(drop_empty).mut_subcommands(without_empty_variables)
}

/// Variables of the tests, which the program leaves alone.
const OTHER_VARIABLES: [&str; 1] = ["WGRAD_REQUIRE_GPU"];

/// A sentence for each variable of the environment that looks like one of wgrad's and is none.
pub(super) fn unknown_variables(command: &Command) -> Vec<String> {
    let mut known: Vec<String> = OTHER_VARIABLES.map(str::to_owned).to_vec();
    for command in std::iter::once(command).chain(command.get_subcommands()) {
        let names = command.get_arguments().filter_map(|argument| argument.get_env());
        known.extend(names.map(|name| name.to_string_lossy().into_owned()));
    }
    let mut unknown: Vec<String> = std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("WGRAD_") && !known.contains(name))
        .map(|name| match suggestion(&name, known.iter().map(String::as_str)) {
            Some(near) => format!("{name}: there is no such variable, it is ignored; did you mean {near}?"),
            None => {
                format!("{name}: there is no such variable, it is ignored; each flag has one, as WGRAD_LR for --lr")
            }
        })
        .collect();
    unknown.sort();
    unknown
}

fn sentence(error: &clap::Error, arguments: &[OsString]) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(list)) => list.first().map(String::as_str),
        _ => None,
    };
    // "--lr <X>", "--quiet", "[DATA]"
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let flag = argument.split_whitespace().next().unwrap_or_default();
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => {
            Error::usage("a value is missing").at(flag).remedy(format!("write {argument}"))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let remedy = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(values)) if !values.is_empty() => format!("give {}", values.join(", ")),
                _ => reason.unwrap_or_else(|| "see --help".into()),
            };
            let problem = format!("`{value}` is no value for it");
            Error::usage(problem).at(place(flag, value, arguments)).remedy(remedy)
        }
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            let remedy = text(ContextKind::SuggestedArg).map(|near| format!("did you mean {near}?"));
            Error::usage("there is no such flag").at(flag).remedy(remedy.unwrap_or("see --help".into()))
        }
        ErrorKind::UnknownArgument => {
            Error::usage("one argument too many").at(argument).remedy("quote a path with spaces, or see --help")
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            let remedy = match text(ContextKind::SuggestedSubcommand) {
                Some(near) => format!("did you mean `wgrad {near}`?"),
                None if std::path::Path::new(name).exists() => format!("did you mean `wgrad train {name}`?"),
                None => "see `wgrad --help`".into(),
            };
            Error::usage("there is no such command").at(name).remedy(remedy)
        }
        ErrorKind::MissingRequiredArgument => {
            let names = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(names)) => names.join(" and "),
                _ => "an argument".into(),
            };
            let is = if names.contains(" and ") { "are" } else { "is" };
            Error::usage(format!("{names} {is} missing")).remedy("see --help, which begins with examples")
        }
        ErrorKind::ArgumentConflict => match text(ContextKind::PriorArg) {
            Some(prior) if prior != argument => {
                Error::usage(format!("it does not go with {prior}")).at(flag).remedy("give one of the two")
            }
            _ => Error::usage("it is given twice").at(flag).remedy("give it once"),
        },
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Error::usage(line.trim_start_matches("error: ").to_owned()).remedy("see --help")
        }
    }
}

/// The flag, or the variable of the environment where nothing on the command line gave that value.
fn place(flag: &str, value: &str, arguments: &[OsString]) -> String {
    let name = format!("WGRAD_{}", flag.trim_start_matches('-').replace('-', "_").to_uppercase());
    let typed = arguments.iter().any(|argument| argument.to_string_lossy().starts_with(flag));
    let is_set = std::env::var_os(&name).is_some_and(|own| own == *value);
    if is_set && !typed { name } else { flag.to_owned() }
}
