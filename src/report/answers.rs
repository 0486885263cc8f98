//! What the network answers to single rows: confusions and mistakes, residuals, and which columns its answers hang on.

use std::fmt::Write;

use super::chart::{self, Labels};
use super::text::{count, escape, number, percent, shortened};
use super::{Answers, Importance, Miss, Mistake, Report, Residuals, of_set, picture, wide};
use crate::config::Task;
use crate::plan;
use crate::train::metrics::Metrics;

/// Classes that a table of counts has room for.
const MOST_CLASSES: usize = 20;
/// Cells of the picture that stands for the table where there are more.
const MOST_CELLS: usize = 250;
const MOST_PAIRS: usize = 20;
/// Characters of a class's name in a table; the whole name shows when pointed at.
const MOST_LETTERS: usize = 18;

pub(super) fn title(report: &Report<'_>) -> &'static str {
    match report.task {
        Task::Regression => "Predictions and residuals",
        Task::Binary | Task::Classification => "Confusions and mistakes",
    }
}

pub(super) fn section(report: &Report<'_>) -> String {
    let evidence = report.evidence;
    let set = of_set(evidence.set);
    let mut html = String::new();
    if let Some((_, _, Metrics::Classes { confusion, .. }, _)) = report.sets.last() {
        html += &match confusion.len() {
            ..=MOST_CLASSES => matrix(confusion, report.classes),
            _ => picture_of(confusion, report.classes),
        };
        html += &by_class(confusion, report.classes);
    }
    match &evidence.answers {
        Err(error) => html + &format!("<p>The {set} rows could not be looked at again: {}</p>\n", escape(error)),
        Ok(Answers::Classes { wrong, mistakes: worst }) => html + &mistakes(report, *wrong, worst),
        Ok(Answers::Regression { targets, left_out }) => {
            for (number, target) in targets.iter().enumerate() {
                html += &residuals(report, number, target, targets.len() > 1);
            }
            if *left_out > 0 {
                html += &format!("<p>{} more not shown.</p>\n", count(*left_out, "target"));
            }
            html
        }
    }
}

fn label(class: &str) -> String {
    format!("<span title=\"{}\">{}</span>", escape(class), escape(&shortened(class, MOST_LETTERS)))
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Counts, coloured by their share of the row: right ones blue, confusions orange.
fn matrix(confusion: &[Vec<usize>], classes: &[String]) -> String {
    let heads: String = classes.iter().map(|class| format!("<th scope=\"col\">{}</th>", label(class))).collect();
    let mut rows = String::new();
    for (actual, (counts, class)) in confusion.iter().zip(classes).enumerate() {
        let total: usize = counts.iter().sum();
        let mut cells = String::new();
        for (predicted, &rows) in counts.iter().enumerate() {
            let part = share(rows, total);
            // Confusions are small shares: their root can be told apart by eye, and one row in many still shows.
            let (class, depth) = match rows {
                _ if actual == predicted => ("right", part),
                0 => ("", 0.0),
                _ => ("", 0.2 + 0.8 * part.sqrt()),
            };
            let strong = if depth > 0.55 { " strong" } else { "" };
            let (depth, text) = (100.0 * depth, percent(part));
            let _ = write!(
                cells,
                "<td class=\"{class}{strong}\" style=\"--p:{depth:.0}\" title=\"{text} of the row\">{rows}</td>"
            );
        }
        let _ = write!(rows, "<tr><th scope=\"row\">{}</th>{cells}</tr>", label(class));
    }
    let table = format!(
        "<table class=\"confusion\"><thead><tr><th scope=\"col\">actual ↓ predicted →</th>{heads}</tr></thead>\
         <tbody>{rows}</tbody></table>"
    );
    let note = "<p class=\"note-text\">Rows: the actual class; columns: the predicted one. Counts, coloured by their share \
                of the row: blue is right, orange is wrong.</p>\n";
    format!("{note}<div id=\"chart-confusion\">{}</div>", wide("Confusion matrix", &table))
}

/// For many classes: a picture, and the confusions that happen most.
fn picture_of(confusion: &[Vec<usize>], classes: &[String]) -> String {
    let cells = confusion.len().min(MOST_CELLS);
    let mut sums = vec![vec![0_usize; cells]; cells];
    for (actual, counts) in confusion.iter().enumerate() {
        for (predicted, rows) in counts.iter().enumerate() {
            sums[actual * cells / confusion.len()][predicted * cells / confusion.len()] += rows;
        }
    }
    let shares: Vec<Vec<f64>> =
        sums.iter().map(|row| row.iter().map(|&rows| share(rows, row.iter().sum())).collect()).collect();
    let mut html = String::new();
    if let Some(png) = picture::of_shares(&shares, [0x2a, 0x84, 0xc4]) {
        html += &format!(
            "<figure id=\"chart-confusion\"><figcaption>Confusion matrix of {} classes</figcaption><img class=\"heat\" \
             src=\"{}\" alt=\"Confusion matrix: actual classes downward, predicted ones to the right; what is right lies \
             on the diagonal\"></figure>\n",
            confusion.len(),
            picture::data_uri(&png)
        );
    }
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for (actual, counts) in confusion.iter().enumerate() {
        let wrong = counts.iter().enumerate().filter(|&(predicted, &rows)| predicted != actual && rows > 0);
        pairs.extend(wrong.map(|(predicted, &rows)| (rows, actual, predicted)));
    }
    pairs.sort_by(|a, b| b.0.cmp(&a.0).then(a.cmp(b)));
    pairs.truncate(MOST_PAIRS);
    let row = |&(rows, actual, predicted): &(usize, usize, usize)| {
        let of_class = percent(share(rows, confusion[actual].iter().sum()));
        format!(
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{rows}</td><td class=\"n\">{of_class}</td></tr>",
            label(&classes[actual]),
            label(&classes[predicted])
        )
    };
    html += "<p class=\"note-text\">The most frequent confusions.</p>\n";
    html + &wide(
        "Most frequent confusions",
        &format!(
            "<table><thead><tr><th scope=\"col\">actual</th><th scope=\"col\">\
             predicted</th><th scope=\"col\" class=\"n\">rows</th><th scope=\"col\" class=\"n\">of the class</th></tr></thead>\
             <tbody>{}</tbody></table>",
            pairs.iter().map(row).collect::<String>()
        ),
    )
}

/// Precision, recall and F1 of each class, or of those with the worst F1.
fn by_class(confusion: &[Vec<usize>], classes: &[String]) -> String {
    let mut rows: Vec<(usize, f64, f64, f64, usize)> = (0..confusion.len())
        .map(|class| {
            let right = confusion[class][class];
            let actual: usize = confusion[class].iter().sum();
            let predicted: usize = confusion.iter().map(|row| row[class]).sum();
            (class, share(right, predicted), share(right, actual), share(2 * right, actual + predicted), actual)
        })
        .filter(|row| row.4 > 0)
        .collect();
    let mut note = "Each class: of the rows predicted to be in it, how many are (precision); of those in it, how many \
                       are found (recall)."
        .to_owned();
    if rows.len() > MOST_CLASSES {
        rows.sort_by(|a, b| a.3.total_cmp(&b.3));
        rows.truncate(MOST_CLASSES);
        note += " Those with the lowest F1.";
    }
    let row = |&(class, precision, recall, f1, support): &(usize, f64, f64, f64, usize)| {
        let [precision, recall, f1] = [precision, recall, f1].map(number);
        format!(
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{precision}</td><td class=\"n\">{recall}</td><td class=\"n\">{f1}</td>\
             <td class=\"n\">{support}</td></tr>",
            label(&classes[class])
        )
    };
    let heads: String = ["precision", "recall", "F1", "rows"]
        .iter()
        .map(|head| format!("<th scope=\"col\" class=\"n\">{head}</th>"))
        .collect();
    let note = format!("<p class=\"note-text\">{note}</p>\n");
    note + &wide(
        "Metrics of each class",
        &format!(
            "<table><thead><tr><th scope=\"col\">class</th>{heads}</tr></thead><tbody>{}</tbody></table>",
            rows.iter().map(row).collect::<String>()
        ),
    )
}

/// As a percentage where the output is a probability.
fn probability(value: f64) -> String {
    if (0.0..=1.0).contains(&value) { percent(value) } else { number(value) }
}

fn mistakes(report: &Report<'_>, wrong: usize, worst: &[Mistake]) -> String {
    let (set, rows) = (of_set(report.evidence.set), report.evidence.rows);
    let heading = "<h3 id=\"mistakes\">Worst mistakes</h3>\n";
    if worst.is_empty() {
        return format!("{heading}<p>None: all {} are right.</p>\n", count(rows, &format!("{set} row")));
    }
    let shown =
        if wrong > worst.len() { format!("the worst {} are shown", worst.len()) } else { "all are shown".into() };
    let intro = format!(
        "<p>{wrong} of {} are wrong; {shown}: where the right class was given the least probability. Mistakes that no \
         person would make point to wrong labels as often as to a bad network.</p>\n",
        count(rows, &format!("{set} row"))
    );
    if worst.iter().any(|mistake| mistake.image.is_some()) {
        let legend = "<p class=\"note-text\">Below each image: actual → predicted class, and the probability that the \
                      network gave its answer.</p>\n";
        return format!(
            "{heading}{intro}{legend}<ul class=\"gallery\">{}</ul>\n",
            worst.iter().map(card).collect::<String>()
        );
    }
    let heads: String =
        worst[0].columns.iter().map(|(name, _)| format!("<th scope=\"col\">{}</th>", label(name))).collect();
    let row = |mistake: &Mistake| {
        let cells: String = mistake.columns.iter().map(|(_, value)| format!("<td>{}</td>", label(value))).collect();
        format!(
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>{cells}</tr>",
            mistake.row,
            label(&mistake.actual),
            label(&mistake.predicted),
            probability(mistake.probability),
            probability(mistake.actual_probability)
        )
    };
    let table = format!(
        "<table><thead><tr><th scope=\"col\" class=\"n\">row</th><th scope=\"col\">actual</th><th scope=\"col\">predicted</th>\
         <th scope=\"col\" class=\"n\">its probability</th><th scope=\"col\" class=\"n\">of the actual class</th>{heads}</tr></thead>\
         <tbody>{}</tbody></table>",
        worst.iter().map(row).collect::<String>()
    );
    format!("{heading}{intro}{}{}", wide("Worst mistakes", &table), row_note())
}

fn card(mistake: &Mistake) -> String {
    let (actual, predicted) = (escape(&mistake.actual), escape(&mistake.predicted));
    let row = mistake.row;
    let image = mistake.image.as_deref().map_or_else(String::new, |png| {
        let source = picture::data_uri(png);
        format!(
            "<img src=\"{source}\" alt=\"Image {row}: {actual}, taken for {predicted}\" width=\"76\" height=\"76\">"
        )
    });
    format!(
        "<li>{image}<b>{actual} → {predicted}</b>{}<br><span class=\"muted\">image {row}</span></li>",
        probability(mistake.probability)
    )
}

fn row_note() -> &'static str {
    "<p class=\"note-text\">Row 1 is the first row of the data after the header, of the rows that were used. Numbers are \
     rounded; a missing value shows as what it was filled with.</p>\n"
}

fn residuals(report: &Report<'_>, number_of: usize, residuals: &Residuals, named: bool) -> String {
    let set = of_set(report.evidence.set);
    let target = escape(&residuals.target);
    let heading = if named { format!("<h3>{target}</h3>\n") } else { String::new() };
    let rows = residuals.errors.len();
    let sample = if residuals.points.len() < rows {
        format!(" ({} of {})", plan::grouped(residuals.points.len() as u64), plan::grouped(rows as u64))
    } else {
        String::new()
    };
    let (scatter, histogram) = (format!("chart-predictions-{number_of}"), format!("chart-residuals-{number_of}"));
    let mean = residuals.errors.iter().sum::<f64>() / rows.max(1) as f64;
    let name = shortened(&residuals.target, 40);
    let (x, y) = (format!("actual {name}"), format!("predicted {name}"));
    let predictions = chart::scatter(
        &Labels {
            id: &scatter,
            title: &format!("Predicted against actual, {set} rows{sample}"),
            description: "One dot a row; on the dashed diagonal the prediction is right.".into(),
            x: &x,
            y: &y,
        },
        &residuals.points,
    );
    let x = format!("predicted − actual {name}");
    let errors = chart::histogram(
        &Labels {
            id: &histogram,
            title: "Residuals",
            description: format!("How many of {rows} rows are off by how much; their mean is {}.", number(mean)),
            x: &x,
            y: "rows",
        },
        &residuals.errors,
    );
    let note = format!(
        "<p class=\"note-text\">Mean residual {}; one far from 0 is a bias. Residuals that grow with the prediction ask for \
         a transformed target.</p>\n",
        number(mean)
    );
    format!("{heading}<div class=\"charts\">\n{predictions}{errors}</div>\n{note}{}", misses(&residuals.worst))
}

fn misses(worst: &[Miss]) -> String {
    let Some(first) = worst.first() else { return String::new() };
    let heads: String =
        first.columns.iter().map(|(name, _)| format!("<th scope=\"col\">{}</th>", label(name))).collect();
    let row = |miss: &Miss| {
        let cells: String = miss.columns.iter().map(|(_, value)| format!("<td>{}</td>", label(value))).collect();
        let [actual, predicted, error] = [miss.actual, miss.predicted, miss.predicted - miss.actual].map(number);
        format!(
            "<tr><td class=\"n\">{}</td><td class=\"n\">{actual}</td><td class=\"n\">{predicted}</td><td class=\"n\">{error}</td>\
             {cells}</tr>",
            miss.row
        )
    };
    let table = format!(
        "<table><thead><tr><th scope=\"col\" class=\"n\">row</th>\
         <th scope=\"col\" class=\"n\">actual</th><th scope=\"col\" class=\"n\">predicted</th><th scope=\"col\" class=\"n\">\
         residual</th>{heads}</tr></thead><tbody>{}</tbody></table>",
        worst.iter().map(row).collect::<String>()
    );
    format!("<p>The rows that are furthest off:</p>\n{}{}", wide("Largest residuals", &table), row_note())
}

/// How far the score falls without each column; empty for images.
pub(super) fn importance(report: &Report<'_>) -> String {
    let set = of_set(report.evidence.set);
    let found = match &report.evidence.importance {
        None => return String::new(),
        Some(Err(error)) => return format!("<p>It could not be measured: {}</p>\n", escape(error)),
        Some(Ok(found)) => found,
    };
    let Importance { metric, score, rows, of_rows, repeats, columns, left_out } = found;
    let largest = columns.iter().map(|column| column.drop).filter(|drop| drop.is_finite()).fold(0.0, f64::max);
    let row = |column: &super::ColumnImportance| {
        let width = if column.drop > 0.0 && largest > 0.0 { 100.0 * column.drop / largest } else { 0.0 };
        let (drop, deviation) = (number(column.drop), number(column.deviation));
        format!(
            "<tr><th scope=\"row\"><span title=\"{}\">{}</span></th><td class=\"n\">{drop} ± {deviation}</td>\
             <td class=\"meter\"><i style=\"width:{width:.1}%\"></i></td></tr>",
            escape(&column.name),
            escape(&shortened(&column.name, 40))
        )
    };
    let all = plan::grouped(*of_rows as u64);
    let sampled =
        if rows < of_rows { format!("{} of the {all}", plan::grouped(*rows as u64)) } else { format!("the {all}") };
    let mut html = format!(
        "<p>How far the {metric} on {sampled} {set} rows ({}) falls when a column's values are shuffled among the rows: mean \
         and deviation of {repeats} shuffles. About 0: the network does without the column. Columns that tell the same \
         share their importance, so that each looks less important than it is.</p>\n",
        number(*score)
    );
    if *left_out > 0 {
        html += &format!(
            "<p class=\"note-text\">{} with the smallest weights in the first layer left out: measuring all would take too \
             long.</p>\n",
            count(*left_out, "column")
        );
    }
    let table = format!(
        "<table id=\"chart-importance\" class=\"full\"><thead><tr><th scope=\"col\">column</th><th scope=\"col\" class=\"n\">drop of \
         {metric}</th><th class=\"meter\" aria-hidden=\"true\"></th></tr></thead><tbody>{}</tbody></table>",
        columns.iter().map(row).collect::<String>()
    );
    html + &wide("Importance of each column", &table)
}
