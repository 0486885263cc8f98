//! The trials of a search in the order of their rank: for people and as CSV.

use toml::Value;

use super::print::Printer;
use crate::train::halving::Standing;
use crate::train::stopping::Objective;

/// A trial with what was drawn for it.
pub(super) struct Row<'a> {
    pub standing: &'a Standing,
    pub values: &'a [(String, Value)],
}

/// Rows that are shown; the file has all.
const SHOWN: usize = 10;

/// Shows the best trials.
pub(super) fn show(rows: &[Row], objective: &Objective, printer: &Printer) {
    let shown = &rows[..rows.len().min(SHOWN)];
    let mut table = vec![vec!["rank".to_owned(), "trial".into(), objective.metric.replace('_', " "), "epochs".into()]];
    if let Some(first) = shown.first() {
        // optimizer.learning_rate: the last part says enough.
        table[0].extend(first.values.iter().map(|(key, _)| brief(key).to_owned()));
    }
    for (i, row) in shown.iter().enumerate() {
        let score = match row.standing.score {
            _ if row.standing.diverged => "diverged".to_owned(),
            Some(score) => format!("{score:.4}"),
            None => "-".to_owned(),
        };
        let mut cells =
            vec![(i + 1).to_string(), (row.standing.trial + 1).to_string(), score, row.standing.epochs.to_string()];
        cells.extend(row.values.iter().map(|(_, value)| short(value)));
        table.push(cells);
    }
    let widths: Vec<usize> = (0..table[0].len())
        .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    printer.say("");
    for row in &table {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        printer.say(cells.join("  ").trim_end());
    }
    if rows.len() > shown.len() {
        printer.say(format!("… and {} more, in leaderboard.csv", rows.len() - shown.len()));
    }
}

/// The last name of a key with what is needed to tell elements of a list apart.
pub(super) fn brief(key: &str) -> &str {
    if key.contains('[') { key } else { key.rsplit('.').next().unwrap_or(key) }
}

/// A value in few characters: layers as `128-64 dropout 0.2`.
pub(super) fn short(value: &Value) -> String {
    if let Some(number) = value.as_float().filter(|number| *number != 0.0 && number.abs() < 1e-3) {
        return format!("{number:e}");
    }
    let Some(layers) = value.as_array() else {
        return value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    };
    let kind = |layer: &Value| layer.get("type").and_then(Value::as_str).map(str::to_owned);
    if layers.iter().any(|layer| kind(layer).is_none()) {
        return value.to_string();
    }
    let mut units = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for layer in layers {
        let what = match (kind(layer).as_deref(), layer.get("units"), layer.get("rate")) {
            (Some("dense"), Some(count), _) => {
                units.push(count.to_string());
                continue;
            }
            (Some("dense"), None, _) => continue,
            (Some(kind), _, Some(rate)) => format!("{kind} {rate}"),
            (kind, ..) => kind.unwrap_or_default().to_owned(),
        };
        if !others.contains(&what) {
            others.push(what);
        }
    }
    let units = if units.is_empty() { "no hidden layer".to_owned() } else { units.join("-") };
    if others.is_empty() { units } else { format!("{units} {}", others.join(" ")) }
}

/// All trials: rank, trial, metric, epochs, then each searched value as TOML.
pub(super) fn csv(rows: &[Row], objective: &Objective) -> String {
    let mut text = format!("rank,trial,{},epochs,diverged", objective.metric);
    let keys = rows.first().map_or(&[][..], |row| row.values);
    keys.iter().for_each(|(key, _)| text += &format!(",{}", quoted(key)));
    text.push('\n');
    for (i, row) in rows.iter().enumerate() {
        let Standing { trial, epochs, score, diverged, .. } = row.standing;
        let score = score.filter(|_| !diverged).map_or_else(String::new, |score| score.to_string());
        text += &format!("{},{},{score},{epochs},{diverged}", i + 1, trial + 1);
        for (_, value) in row.values {
            text += &format!(",{}", quoted(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
        }
        text.push('\n');
    }
    text
}

/// A cell as RFC 4180 has it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_short_and_cells_with_commas_quoted() {
        let value: Value =
            "[{ type = \"dense\", units = 64 }, { type = \"dropout\", rate = 0.2 }, { type = \"dense\" }]"
                .parse()
                .expect("TOML");
        assert_eq!(short(&value), "64 dropout 0.2");
        assert_eq!([0.001, 2.5e-5, 0.0].map(|x| short(&Value::Float(x))), ["0.001", "2.5e-5", "0.0"]);
        assert_eq!(short(&Value::String("adam".into())), "adam");
        let standing = Standing { trial: 2, rungs: 1, epochs: 6, score: Some(0.5), diverged: false };
        let values = [("model.layers".to_owned(), value), ("optimizer.name".to_owned(), Value::from("adam"))];
        let objective = Objective { metric: "validation_loss", higher_is_better: false };
        let text = csv(&[Row { standing: &standing, values: &values }], &objective);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().expect("a header").iter().next_back(), Some("optimizer.name"));
        let row = reader.records().next().expect("a row").expect("it is CSV");
        assert_eq!((&row[0], &row[1], &row[2], &row[3], &row[6]), ("1", "3", "0.5", "6", "adam"));
    }
}
