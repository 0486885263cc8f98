//! report.html: one page about a run that needs nothing beside it. Callers fill a [`Report`]; [`html`] writes the page.
//! Whatever comes from data or flags is escaped, and the page's own policy forbids scripts and any network.

mod answers;
mod chart;
mod evidence;
mod importance;
mod picture;
mod scale;
mod technical;
mod text;
mod training;

pub use evidence::{Answers, Evidence, Miss, Mistake, Residuals, gather};
pub use importance::{ColumnImportance, Importance};

use crate::config::Task;
use crate::plan;
use crate::train::metrics::Metrics;
use crate::train::{End, Epoch, Set};
use crate::verify;
use text::{count, escape};

/// The page may style itself and show its own pictures, and reach nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Everything the page tells.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Of the data.
    pub name: &'a str,
    /// What the targets are.
    pub task: Task,
    /// Their names.
    pub targets: &'a [String],
    /// In output order; empty for regression.
    pub classes: &'a [String],
    /// Rows to train on, to validate, to test.
    pub rows: [usize; 3],
    /// Columns or pixels that go into the network.
    pub features: usize,
    /// What was inferred or handled, one sentence each.
    pub notes: &'a [String],
    /// Layer sizes and the like, in words.
    pub model: &'a str,
    /// One entry an epoch.
    pub history: &'a [Epoch],
    /// The epoch whose weights are kept; `None`: the last.
    pub best_epoch: Option<usize>,
    /// Why training ended.
    pub end: End,
    /// Loss, metrics and the baseline's metrics of each set that has rows; the last one is judged by.
    pub sets: &'a [(Set, f64, Metrics, Metrics)],
    /// What to try next, one sentence each.
    pub advice: &'a [String],
    /// What the page shows besides.
    pub evidence: &'a Evidence,
    /// If the device was verified before training.
    pub verification: Option<&'a verify::Report>,
    /// The run file, resolved.
    pub config: &'a str,
    /// Names and values: device, driver, versions, seed, checksum.
    pub environment: &'a [(String, String)],
}

/// The whole page.
pub fn html(report: &Report<'_>) -> String {
    let sections = [
        ("training", "Training", training::section(report)),
        ("answers", answers::title(report), answers::section(report)),
        ("importance", "How much each column matters", answers::importance(report)),
        ("steps", "Time per op", technical::steps(report)),
        ("verification", "Verification", technical::verification(report)),
        ("configuration", "Configuration", technical::configuration(report)),
        ("environment", "Device and environment", technical::environment(report)),
    ];
    let sections: Vec<_> = sections.into_iter().filter(|(_, _, body)| !body.is_empty()).collect();
    let links: String =
        sections.iter().map(|(id, title, _)| format!("<a href=\"#{id}\">{title}</a>")).collect::<Vec<_>>().join("\n");
    let bodies: String = sections
        .iter()
        .map(|(id, title, body)| {
            format!("<section id=\"{id}\" aria-labelledby=\"{id}-heading\"><h2 id=\"{id}-heading\">{title}</h2>\n{body}</section>\n")
        })
        .collect();
    let name = escape(report.name);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"wgrad {}\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{name}: training report</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n\
         <header><h1>{name}</h1><p class=\"muted\">{}</p></header>\n<nav aria-label=\"Sections\">{links}</nav>\n\
         {}{bodies}<footer>Made by wgrad {}. This page needs no network and runs no script.</footer>\n</main>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        include_str!("style.css"),
        subtitle(report),
        training::result(report),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The task and the data in one line.
fn subtitle(report: &Report<'_>) -> String {
    let targets: Vec<String> =
        report.targets.iter().take(8).map(|target| format!("“{}”", text::shortened(target, 60))).collect();
    let more = if report.targets.len() > 8 { format!(" and {} more", report.targets.len() - 8) } else { String::new() };
    let task = match report.task {
        Task::Regression => "Regression".to_owned(),
        Task::Binary => "Binary classification".to_owned(),
        Task::Classification => format!("Classification into {} classes", report.classes.len()),
    };
    let [train, validation, test] = report.rows;
    escape(&format!(
        "{task} of {}{more} from {} · {} to train on, {} to validate, {} to test",
        targets.join(", "),
        count(report.features, "feature"),
        count(train, "row"),
        plan::grouped(validation as u64),
        plan::grouped(test as u64),
    ))
}

/// A set's name as an adjective.
fn of_set(set: Set) -> &'static str {
    match set {
        Set::Train => "training",
        other => other.name(),
    }
}

/// A table that scrolls by itself where the page is narrow.
fn wide(label: &str, table: &str) -> String {
    format!("<div class=\"wide\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">{table}</div>\n")
}

#[cfg(test)]
mod tests;
