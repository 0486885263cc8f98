//! The result beside the baseline, and the curves of training.

use super::chart::{self, Labels, MOST_SERIES, Series};
use super::text::{count, escape, number, percent};
use super::{Report, of_set, wide};
use crate::train::metrics::Metrics;
use crate::train::{End, Epoch, Set};

/// The card at the top: is it any good?
pub(super) fn result(report: &Report<'_>) -> String {
    let Some((set, loss, metrics, baseline)) = report.sets.last() else { return String::new() };
    let (class, badge, sentence) = verdict(*set, metrics, baseline);
    // Rows that were trained on prove nothing.
    let (class, badge) = if *set == Set::Train { ("unclear", "? judged by its training rows") } else { (class, badge) };
    let mut html = format!("<div class=\"result\"><span class=\"badge {class}\">{badge}</span>\n<p>{sentence}</p>\n");
    if *set == Set::Train {
        html +=
            "<p class=\"unclear\">These rows were trained on; without test rows nothing is known of new ones.</p>\n";
    }
    html += &format!("<ul class=\"tiles\">{}</ul>\n", tiles(report, *set, *loss, metrics, baseline));
    html += &sets(report);
    let notes = report.advice.iter().map(|advice| format!("<p><strong>Advice:</strong> {}</p>\n", escape(advice)));
    html += &notes.collect::<String>();
    html + "</div>\n"
}

/// Class and words of the badge, and a sentence with the numbers.
fn verdict(set: Set, metrics: &Metrics, baseline: &Metrics) -> (&'static str, &'static str, String) {
    let better = ("good", "✓ better than the baseline");
    let same = ("bad", "✗ no better than the baseline");
    let unclear = ("unclear", "? not clearly better than the baseline");
    let set = of_set(set);
    match (metrics, baseline) {
        (Metrics::Classes { accuracy, confusion, .. }, Metrics::Classes { accuracy: base, .. }) => {
            let rows: usize = confusion.iter().flatten().sum();
            let (low, _) = wilson(*accuracy, rows);
            let (class, badge) = if low > *base {
                better
            } else if accuracy > base {
                unclear
            } else {
                same
            };
            let sentence = format!(
                "{} of the {} are put into the right class. Always answering the most frequent class would be right \
                 for {}.",
                percent(*accuracy),
                count(rows, &format!("{set} row")),
                percent(*base)
            );
            (class, badge, sentence)
        }
        (Metrics::Regression { rmse, r2, .. }, Metrics::Regression { rmse: base, .. }) => {
            let (class, badge) = if rmse < base { better } else { same };
            let explained = if *r2 > 0.0 {
                format!("The network explains {} of the variance of the {set} rows (R²). ", percent(*r2))
            } else {
                format!("The network explains nothing of the variance of the {set} rows (R² {}). ", number(*r2))
            };
            let sentence = format!(
                "{explained}Its typical error (RMSE) is {}; that of always answering the mean is {}.",
                number(*rmse),
                number(*base)
            );
            (class, badge, sentence)
        }
        _ => ("unclear", "? no baseline", String::new()),
    }
}

/// The 95 % interval of a share (Wilson 1927).
fn wilson(share: f64, rows: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let n = rows.max(1) as f64;
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    ((centre - half) / scale, (centre + half) / scale)
}

fn tiles(report: &Report<'_>, set: Set, loss: f64, metrics: &Metrics, baseline: &Metrics) -> String {
    let tile = |name: &str, value: String, below: String| {
        format!("<li><span>{name}</span><b>{value}</b><span>{below}</span></li>")
    };
    let set = of_set(set);
    let mut tiles = Vec::new();
    match (metrics, baseline) {
        (Metrics::Classes { accuracy, f1, roc_auc, confusion, .. }, Metrics::Classes { accuracy: base, .. }) => {
            let (low, high) = wilson(*accuracy, confusion.iter().flatten().sum());
            let interval = format!("95 % interval {} to {}", percent(low), percent(high));
            tiles.push(tile(
                &format!("{set} accuracy"),
                percent(*accuracy),
                format!("baseline {}<br>{interval}", percent(*base)),
            ));
            tiles.push(tile("F1, mean of the classes", number(*f1), String::new()));
            if let Some(auc) = roc_auc {
                tiles.push(tile("ROC AUC", number(*auc), "0.5 is chance".into()));
            }
        }
        (Metrics::Regression { rmse, mae, r2 }, Metrics::Regression { rmse: base_rmse, mae: base_mae, .. }) => {
            tiles.push(tile(&format!("{set} R²"), number(*r2), "baseline 0, best 1".into()));
            tiles.push(tile("RMSE", number(*rmse), format!("baseline {}", number(*base_rmse))));
            tiles.push(tile("MAE", number(*mae), format!("baseline {}", number(*base_mae))));
        }
        _ => {}
    }
    tiles.push(tile(&format!("{set} loss"), number(loss), String::new()));
    let kept = report.best_epoch.map_or_else(|| "last weights kept".into(), |best| format!("epoch {best} kept"));
    tiles.push(tile("epochs", report.history.len().to_string(), kept));
    tiles.concat()
}

/// Every set's numbers side by side: the distance between training and the others is what overfitting shows in.
fn sets(report: &Report<'_>) -> String {
    let Some((_, _, first, _)) = report.sets.first() else { return String::new() };
    let names: Vec<&str> = first.scalars().map(|(name, _)| name).collect();
    let label = |name: &str| match name {
        "rmse" => "RMSE".to_owned(),
        "mae" => "MAE".to_owned(),
        "r2" => "R²".to_owned(),
        "f1" => "F1".to_owned(),
        "roc_auc" => "ROC AUC".to_owned(),
        other => other.to_owned(),
    };
    let heads: String =
        names.iter().map(|name| format!("<th scope=\"col\" class=\"n\">{}</th>", label(name))).collect();
    let cells = |metrics: &Metrics| {
        let found: Vec<(&str, f64)> = metrics.scalars().collect();
        let cell = |name: &&str| {
            let value = found.iter().find(|(own, _)| own == name).map_or_else(|| "–".into(), |(_, v)| number(*v));
            format!("<td class=\"n\">{value}</td>")
        };
        names.iter().map(cell).collect::<String>()
    };
    let mut rows = String::new();
    for (set, loss, metrics, _) in report.sets {
        let loss = number(*loss);
        rows += &format!("<tr><th scope=\"row\">{}</th><td class=\"n\">{loss}</td>{}</tr>", set.name(), cells(metrics));
    }
    if let Some((set, _, _, baseline)) = report.sets.last() {
        let name = format!("baseline on {}", set.name());
        rows += &format!("<tr><th scope=\"row\">{name}</th><td class=\"n\">–</td>{}</tr>", cells(baseline));
    }
    wide(
        "Metrics of each set",
        &format!(
            "<table><thead><tr><th scope=\"col\">rows</th><th scope=\"col\" class=\"n\">loss</th>{heads}</tr></thead>\
             <tbody>{rows}</tbody></table>"
        ),
    )
}

/// Loss, metrics and learning rate over the epochs.
pub(super) fn section(report: &Report<'_>) -> String {
    let history = report.history;
    let Some(last) = history.last() else { return "<p>No epoch was trained.</p>\n".into() };
    let mut charts = vec![loss(report)];
    for (metric, series) in metrics(history) {
        let is_gradient = metric == "gradient_norm";
        let (title, y) = match metric.as_str() {
            "gradient_norm" => ("Gradient norm of each weight matrix".to_owned(), "‖gradient‖".to_owned()),
            "rmse" | "mae" => (metric.to_uppercase(), "in the target's unit".to_owned()),
            "r2" => ("R²".to_owned(), "R²".to_owned()),
            "f1" => ("F1, mean of the classes".to_owned(), "F1".to_owned()),
            "roc_auc" => ("ROC AUC".to_owned(), "area under the curve".to_owned()),
            "accuracy" => ("Accuracy".to_owned(), "share of rows".to_owned()),
            other => (other.to_owned(), other.to_owned()),
        };
        let left_out = series.len().saturating_sub(MOST_SERIES);
        let title = if left_out > 0 { format!("{title} ({left_out} more in history.csv)") } else { title };
        let id = format!("chart-{}", metric.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let labels = Labels { id: &id, title: &title, description: describe(&series), x: "epoch", y: &y };
        charts.push(chart::lines(&labels, &series, report.best_epoch, is_gradient));
    }
    charts.push(rate(history));
    let seconds = match last.seconds {
        seconds if seconds < 0.01 => "less than 0.01".to_owned(),
        seconds if seconds < 10.0 => format!("{seconds:.2}"),
        seconds => format!("{seconds:.0}"),
    };
    let mut html = format!("<div class=\"charts\">\n{}</div>\n", charts.concat());
    html += &format!("<p class=\"note-text\">{} in {seconds} s{}. ", count(history.len(), "epoch"), ending(report));
    html += "Training loss is the mean over an epoch while the weights still change, with dropout if there is any; \
             validation loss is measured after the epoch. The first can therefore lie above the second. The same \
             numbers are in <code>history.csv</code> and, for TensorBoard, in <code>events/</code>.</p>\n";
    html
}

fn ending(report: &Report<'_>) -> String {
    match (report.end, report.best_epoch) {
        (End::StoppedEarly, Some(best)) => format!(", stopped early: nothing was better than epoch {best}"),
        (End::StoppedEarly, None) => ", stopped early".into(),
        (End::Interrupted, _) => ", interrupted".into(),
        (End::Finished, _) => String::new(),
    }
}

fn over_epochs(history: &[Epoch], of: impl Fn(&Epoch) -> Option<f64>) -> Vec<(f64, f64)> {
    history.iter().filter_map(|epoch| Some((epoch.epoch as f64, of(epoch)?))).collect()
}

fn loss(report: &Report<'_>) -> String {
    let history = report.history;
    let mut series = vec![Series {
        name: "training".into(),
        style: 0,
        points: over_epochs(history, |epoch| Some(epoch.train_loss)),
    }];
    let validation = over_epochs(history, |epoch| epoch.validation_loss);
    if !validation.is_empty() {
        series.push(Series { name: "validation".into(), style: 1, points: validation });
    }
    let labels = Labels { id: "chart-loss", title: "Loss", description: describe(&series), x: "epoch", y: "mean loss" };
    chart::lines(&labels, &series, report.best_epoch, true)
}

fn rate(history: &[Epoch]) -> String {
    let points = over_epochs(history, |epoch| Some(epoch.learning_rate));
    let series = [Series { name: "learning rate".into(), style: 0, points }];
    let labels = Labels {
        id: "chart-learning-rate",
        title: "Learning rate",
        description: describe(&series),
        x: "epoch",
        y: "rate of the last step",
    };
    chart::lines(&labels, &series, None, true)
}

/// The columns of history.csv by metric: `train_accuracy` and `validation_accuracy` share a chart.
fn metrics(history: &[Epoch]) -> Vec<(String, Vec<Series>)> {
    let mut charts: Vec<(String, Vec<Series>)> = Vec::new();
    let names = history.first().map(|epoch| &epoch.metrics).into_iter().flatten();
    for (column, (name, _)) in names.enumerate() {
        let set = |prefix: &str| name.strip_prefix(prefix).map(str::to_owned);
        let (metric, line, style) = match (set("train_"), set("validation_"), set("gradient_norm ")) {
            (Some(metric), _, _) => (metric, "training".to_owned(), Some(0)),
            (_, Some(metric), _) => (metric, "validation".to_owned(), Some(1)),
            (_, _, Some(layer)) => ("gradient_norm".to_owned(), layer, None),
            _ => (name.clone(), name.clone(), Some(0)),
        };
        let points = over_epochs(history, |epoch| epoch.metrics.get(column).map(|(_, value)| *value));
        let place = charts.iter().position(|(own, _)| *own == metric).unwrap_or_else(|| {
            charts.push((metric.clone(), Vec::new()));
            charts.len() - 1
        });
        let style = style.unwrap_or(charts[place].1.len());
        charts[place].1.push(Series { name: line, style, points });
    }
    charts
}

/// The first, the best known and the last number of each line, in words.
fn describe(series: &[Series]) -> String {
    let one = |one: &Series| {
        let finite = || one.points.iter().filter(|(_, value)| value.is_finite());
        let (Some(first), Some(last)) = (finite().next(), finite().next_back()) else {
            return format!("{}: no finite value", one.name);
        };
        let lowest = finite().map(|point| point.1).fold(f64::INFINITY, f64::min);
        let highest = finite().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max);
        let [first, last, lowest, highest] = [first.1, last.1, lowest, highest].map(number);
        format!("{}: from {first} to {last}, between {lowest} and {highest}", one.name)
    };
    series.iter().take(MOST_SERIES).map(one).collect::<Vec<_>>().join("; ")
}
