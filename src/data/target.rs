//! What the targets are: values to predict or classes, inferred where the user does not say; their coding.
//! Knows columns, not files.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::table::{Column, MISSING, Values};
use crate::config::Task;
use crate::error::{Error, Result};

/// Integers with more different values are quantities.
const MOST_CLASSES: usize = 20;

/// One target column and, for regression, its scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetCoding {
    /// Of the column.
    pub name: String,
    /// The classes are words rather than integers.
    pub words: bool,
    /// What was subtracted; 0 for classes.
    pub mean: f64,
    /// What the rest was divided by; 1 for classes.
    pub deviation: f64,
}

pub(super) struct Decision {
    pub task: Task,
    /// In output order; empty for regression.
    pub classes: Vec<String>,
}

/// Tells place and remedy of a cell: (row, target number) to `file:line:column`.
pub(super) type Place<'a> = &'a dyn Fn(usize, usize) -> String;

/// Decides task and classes. No cell of `columns` is missing.
pub(super) fn decide(
    columns: &[Column],
    asked: Option<Task>,
    file: &str,
    place: Place<'_>,
    notes: &mut Vec<String>,
) -> Result<Decision> {
    let task = match (asked, columns) {
        (Some(task), _) => task,
        (None, [column]) => {
            check_text(column, file)?;
            infer(column, notes)
        }
        (None, _) => Task::Regression,
    };
    if task == Task::Regression {
        for (number, column) in columns.iter().enumerate() {
            check_numbers(column, number, place)?;
            note_constant(column, notes);
        }
        return Ok(Decision { task, classes: Vec::new() });
    }
    let [column] = columns else {
        return Err(Error::data(format!("{} targets, but classes come in one column", columns.len()))
            .at(file)
            .remedy("name one target, or use --task regression"));
    };
    let classes = classes(column, place)?;
    let found = classes.len();
    let error = match task {
        Task::Binary if found != 2 => format!("the target \"{}\" has {found} classes, not two", column.name),
        _ if found < 2 => format!("the target \"{}\" has one class only, {}", column.name, classes[0]),
        _ => return Ok(Decision { task, classes }),
    };
    let remedy = if found > 2 { "use --task classification" } else { "choose another target with --target NAME" };
    Err(Error::data(error).at(file).remedy(remedy))
}

/// Refuses names and remarks as classes, unless the user insists.
fn check_text(column: &Column, file: &str) -> Result<()> {
    let Values::Text { codes, words } = &column.values else { return Ok(()) };
    if words.len() <= MOST_CLASSES || words.len() * 2 <= codes.len() {
        return Ok(());
    }
    let (words, rows) = (words.len(), codes.len());
    Err(Error::data(format!("the target \"{}\" is text with {words} different words in {rows} rows", column.name))
        .at(file)
        .remedy("name another with --target NAME, or insist with --task classification"))
}

/// Text is classes; integers are classes when they are few and each has rows enough to learn it from.
fn infer(column: &Column, notes: &mut Vec<String>) -> Task {
    let (task, why) = match &column.values {
        Values::Text { words, .. } => (by_count(words.len()), format!("{} different words", words.len())),
        Values::Number(values) => {
            let mut different: Vec<u64> = values.iter().map(|value| (value + 0.0).to_bits()).collect();
            different.sort_unstable();
            different.dedup();
            let count = different.len();
            let integers = values.iter().all(|value| value.fract() == 0.0);
            let first = values.iter().copied().fold(f64::INFINITY, f64::min);
            let last = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // Labels usually run 0…k-1 or 1…k without a gap; then fewer rows are enough to believe it.
            let labels = (first == 0.0 || first == 1.0) && last - first == count as f64 - 1.0;
            let rows = if labels { 4 } else { 10 };
            let few = count <= MOST_CLASSES && count * rows <= values.len();
            if integers && !column.float && count >= 2 && (count == 2 || few) {
                (by_count(count), format!("{count} distinct integers"))
            } else {
                (Task::Regression, format!("{count} distinct numbers"))
            }
        }
    };
    let (name, other) = match task {
        Task::Regression => ("regression", "classification"),
        Task::Binary => {
            ("binary", if matches!(column.values, Values::Text { .. }) { "classification" } else { "regression" })
        }
        Task::Classification => ("classification", "regression"),
    };
    let text_classes = matches!((&column.values, task), (Values::Text { .. }, Task::Classification));
    let other = if text_classes { "with another --target".into() } else { format!("with --task {other}") };
    notes.push(format!("target \"{}\": {name} ({why}); override {other}", column.name));
    task
}

fn by_count(classes: usize) -> Task {
    if classes == 2 { Task::Binary } else { Task::Classification }
}

fn note_constant(column: &Column, notes: &mut Vec<String>) {
    if let Values::Number(values) = &column.values
        && let Some(first) = values.first()
        && values.iter().all(|value| value == first)
    {
        notes.push(format!(
            "the target \"{}\" is {first} in every row, so there is nothing to learn; override with --target NAME",
            column.name
        ));
    }
}

fn check_numbers(column: &Column, number: usize, place: Place<'_>) -> Result<()> {
    let Values::Text { codes, words } = &column.values else { return Ok(()) };
    let word = codes.first().and_then(|&code| words.get(code as usize)).map_or("", String::as_str);
    Err(Error::data(format!("the target \"{}\" is text (\"{word}\"), regression needs numbers", column.name))
        .at(place(0, number))
        .remedy("use --task classification, or name another target"))
}

/// Integers in numeric order, words in alphabetical order.
fn classes(column: &Column, place: Place<'_>) -> Result<Vec<String>> {
    match &column.values {
        Values::Text { codes, words } => {
            let used: BTreeSet<&str> =
                codes.iter().filter_map(|&code| words.get(code as usize)).map(|w| &**w).collect();
            Ok(used.into_iter().map(str::to_string).collect())
        }
        Values::Number(values) => {
            if let Some(row) = values.iter().position(|value| value.fract() != 0.0) {
                return Err(Error::data(format!(
                    "the target \"{}\" holds {}, classes are integers",
                    column.name, values[row]
                ))
                .at(place(row, 0))
                .remedy("use --task regression"));
            }
            let mut sorted: Vec<f64> = values.iter().map(|value| value + 0.0).collect();
            sorted.sort_by(f64::total_cmp);
            sorted.dedup();
            Ok(sorted.into_iter().map(class_name).collect())
        }
    }
}

fn class_name(value: f64) -> String {
    format!("{}", value + 0.0)
}

/// The class of each row; a value that is no class is an error.
pub(super) fn encode_classes(column: &Column, classes: &[String], place: Place<'_>) -> Result<Vec<u32>> {
    let index: HashMap<&str, u32> = classes.iter().enumerate().map(|(i, class)| (class.as_str(), i as u32)).collect();
    let unknown = |row: usize, value: &str| {
        Error::data(format!("\"{value}\" in the target \"{}\" is none of the trained classes", column.name))
            .at(place(row, 0))
            .remedy(format!("the classes are {}", classes.join(", ")))
    };
    match &column.values {
        Values::Text { codes, words } => codes
            .iter()
            .enumerate()
            .map(|(row, &code)| {
                let word = if code == MISSING { "" } else { words[code as usize].as_str() };
                index.get(word).copied().ok_or_else(|| unknown(row, word))
            })
            .collect(),
        Values::Number(values) => {
            // Numbers repeat, their names need not be made again each time.
            let mut known: HashMap<u64, u32> = HashMap::new();
            let mut code = |row: usize, value: f64| {
                if let Some(&class) = known.get(&value.to_bits()) {
                    return Ok(class);
                }
                let name = class_name(value);
                let class = *index.get(name.as_str()).ok_or_else(|| unknown(row, &name))?;
                known.insert(value.to_bits(), class);
                Ok(class)
            };
            values.iter().enumerate().map(|(row, &value)| code(row, value)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: impl IntoIterator<Item = f64>) -> Column {
        Column { name: "y".into(), values: Values::Number(values.into_iter().collect()), float: false }
    }

    fn words(cells: &[&str]) -> Column {
        let values = Values::text(cells.iter().map(|cell| Some(*cell)));
        Column { name: "y".into(), values, float: false }
    }

    fn place(row: usize, _: usize) -> String {
        format!("a.csv:{}:3", row + 2)
    }

    fn decided(column: Column, asked: Option<Task>) -> Result<Decision> {
        decide(&[column], asked, "a.csv", &place, &mut Vec::new())
    }

    fn task(column: Column) -> Task {
        decided(column, None).unwrap().task
    }

    #[test]
    fn few_valued_integers_and_text_are_classes_and_the_rest_is_regression() {
        assert_eq!(task(numbers((0..891).map(|i| f64::from(i % 2)))), Task::Binary);
        assert_eq!(task(numbers((0..150).map(|i| f64::from(i / 50)))), Task::Classification);
        assert_eq!(task(numbers((0..12).map(|i| f64::from(i % 3)))), Task::Classification);
        assert_eq!(task(numbers((0..500).map(|i| f64::from(3 + i % 6)))), Task::Classification);
        assert_eq!(task(numbers((0..10).map(|i| f64::from(i) * 2.0))), Task::Regression);
        assert_eq!(task(numbers((0..1000).map(|i| f64::from(i % 28)))), Task::Regression);
        assert_eq!(task(numbers((0..1000).map(|i| f64::from(i % 3) + 0.5))), Task::Regression);
        assert_eq!(task(words(&["no", "yes", "no"])), Task::Binary);
        assert_eq!(task(words(&["a", "b", "c"])), Task::Classification);
    }

    #[test]
    fn floating_point_arrays_are_never_classes_unasked() {
        let column = Column { float: true, ..numbers([0.0, 1.0, 0.0, 1.0]) };
        assert_eq!(task(column.clone()), Task::Regression);
        assert_eq!(decided(column, Some(Task::Binary)).unwrap().classes, ["0", "1"]);
    }

    #[test]
    fn a_note_says_what_was_inferred_and_how_to_override_it() {
        let mut notes = Vec::new();
        decide(&[numbers((0..219).map(|i| f64::from(i) + 0.5))], None, "a.csv", &place, &mut notes).unwrap();
        assert_eq!(notes, ["target \"y\": regression (219 distinct numbers); override with --task classification"]);
    }

    #[test]
    fn integers_are_ordered_numerically_and_words_alphabetically() {
        let integers = decided(numbers([10.0, 2.0, -1.0, 2.0]), Some(Task::Classification)).unwrap();
        assert_eq!(integers.classes, ["-1", "2", "10"]);
        assert_eq!(decided(words(&["b", "a", "B"]), None).unwrap().classes, ["B", "a", "b"]);
        let column = numbers([10.0, 2.0, -1.0, 2.0]);
        assert_eq!(encode_classes(&column, &integers.classes, &place).unwrap(), [2, 1, 0, 1]);
    }

    #[test]
    fn two_classes_stay_two_outputs_when_classification_is_asked_for() {
        let decision = decided(numbers([0.0, 1.0]), Some(Task::Classification)).unwrap();
        assert_eq!((decision.task, decision.classes.len()), (Task::Classification, 2));
    }

    #[test]
    fn a_task_that_does_not_fit_is_an_error_with_a_remedy() {
        let failure = |column, task| decided(column, Some(task)).err().unwrap().to_string();
        let three = failure(numbers([0.0, 1.0, 2.0]), Task::Binary);
        assert!(three.contains("has 3 classes, not two; use --task classification"), "{three}");
        let text = failure(words(&["a", "b"]), Task::Regression);
        assert!(text.starts_with("a.csv:2:3: ") && text.contains("use --task classification"), "{text}");
        let fraction = failure(numbers([1.0, 0.5]), Task::Classification);
        assert!(fraction.starts_with("a.csv:3:3: ") && fraction.contains("use --task regression"), "{fraction}");
        assert!(failure(numbers([1.0, 1.0]), Task::Classification).contains("one class only, 1"));
    }

    #[test]
    fn names_are_no_classes_unless_asked_for() {
        let cells: Vec<String> = (0..30).map(|i| format!("Person {i}")).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let error = decided(words(&cells), None).err().unwrap().to_string();
        assert!(error.starts_with("a.csv: ") && error.contains("30 different words") && error.contains("--target"));
        assert_eq!(decided(words(&cells), Some(Task::Classification)).unwrap().classes.len(), 30);
    }

    #[test]
    fn a_class_that_was_not_trained_is_named_with_its_place() {
        let classes = ["a".to_string(), "b".to_string()];
        let error = encode_classes(&words(&["a", "c"]), &classes, &place).unwrap_err().to_string();
        assert!(error.starts_with("a.csv:3:3: \"c\"") && error.ends_with("the classes are a, b"), "{error}");
    }
}
