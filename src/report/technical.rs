//! What the run ran on and with: time of each step, verification, run file, environment.

use super::text::{count, escape, number, percent};
use super::{Report, wide};
use crate::verify;

/// Steps of a training step by their time.
pub(super) fn steps(report: &Report<'_>) -> String {
    let rows = match &report.evidence.profile {
        Ok(rows) => rows,
        Err(error) => return format!("<p>It could not be measured: {}</p>\n", escape(error)),
    };
    let row = |row: &crate::bench::ProfileRow| {
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"meter\"><i style=\"width:{:.1}%\"></i></td></tr>",
            escape(&row.step),
            number(row.ms),
            number(row.gflops),
            percent(row.share),
            100.0 * row.share
        )
    };
    let total: f64 = rows.iter().map(|row| row.ms).sum();
    let table = format!(
        "<table id=\"chart-steps\" class=\"full\"><thead><tr><th scope=\"col\">op</th><th scope=\"col\" class=\"n\">ms</th>\
         <th scope=\"col\" class=\"n\">GFLOP/s</th><th scope=\"col\" class=\"n\">share</th><th class=\"meter\" aria-hidden=\"true\">\
         </th></tr></thead><tbody>{}</tbody></table>",
        rows.iter().map(row).collect::<String>()
    );
    let (ops, total) = (count(rows.len(), "dispatch").replace("dispatchs", "dispatches"), number(total));
    let said = match rows.len() {
        1 => format!("One training step takes {total} ms, one of many in one dispatch; its ops are not timed apart."),
        _ => format!(
            "One training step is {ops}, {total} ms one by one. Measured after training with nothing else on the \
             device, {}. <code>wgrad bench</code> times whole steps.",
            match rows.first().and_then(|row| row.device_ms) {
                Some(_) => "by its own clock, without the launches",
                None => "launch included; within a training they overlap and take less",
            }
        ),
    };
    format!("<p>{said}</p>\n{}", wide("Time of each op", &table))
}

/// The table of `--verify`, or how to get it.
pub(super) fn verification(report: &Report<'_>) -> String {
    let Some(found) = report.verification else {
        return "<p>This run was not verified when it was last started. <code>wgrad train --verify</code> compares every step on the device with an \
                f64 reference before it trains; <code>wgrad verify --config config.toml</code> does it now.</p>\n"
            .into();
    };
    let (class, badge) = if found.passed() { ("good", "✓ verified") } else { ("bad", "✗ wrong") };
    let failures = found.failures().count();
    let sentence = if found.passed() {
        format!(
            "All {} compared before training are within their error bounds of the f64 reference.",
            count(found.compared(), "number")
        )
    } else {
        format!("{} of {} are outside their error bounds.", failures, count(found.comparisons.len(), "tensor"))
    };
    let rows: String = found.comparisons.iter().map(comparison).collect();
    let heads: String = [
        ("phase", ""),
        ("op", ""),
        ("tensor", ""),
        ("rows", "n"),
        ("compared", "n"),
        ("largest error", "n"),
        ("of its bound", "n"),
    ]
    .iter()
    .map(|(head, class)| format!("<th scope=\"col\" class=\"{class}\">{head}</th>"))
    .collect();
    let table = format!("<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>");
    let open = if found.comparisons.len() <= 40 { " open" } else { "" };
    format!(
        "<span class=\"badge {class}\">{badge}</span>\n<p>{sentence}</p>\n<details id=\"chart-verification\"{open}><summary>{}</summary>{}</details>\n",
        count(found.comparisons.len(), "comparison"),
        wide("Comparisons", &table)
    )
}

fn comparison(found: &verify::Comparison) -> String {
    let share =
        if found.failure.is_some() { "<b class=\"bad\">✗ outside</b>".into() } else { percent(found.share_of_bound) };
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1e}</td>\
         <td class=\"n\">{share}</td></tr>",
        found.phase,
        escape(&found.step),
        escape(&found.tensor),
        found.rows,
        found.compared,
        found.largest_error
    )
}

pub(super) fn configuration(report: &Report<'_>) -> String {
    let mut html = format!("<p>{}</p>\n", escape(report.model));
    if !report.notes.is_empty() {
        let notes: String = report.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
        html += &format!("<p>About the data:</p><ul>{notes}</ul>\n");
    }
    html + &format!(
        "<p class=\"note-text\">The whole run file, defaults spelled out; <code>wgrad train --config config.toml</code> \
         repeats the run.</p>\n<pre tabindex=\"0\" aria-label=\"Run file\">{}</pre>\n",
        escape(report.config.trim())
    )
}

pub(super) fn environment(report: &Report<'_>) -> String {
    let pairs: String = report
        .environment
        .iter()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(value)))
        .collect();
    format!("<dl>{pairs}</dl>\n")
}
