//! One column of text cells: which are missing, which are numbers, and whether the column is numbers or words.

use std::collections::{HashMap, HashSet};

use super::table::{EXACT_INTEGERS, Values};
use crate::error::{Error, Result};

/// Cells that mean "nothing here", in lower case: what pandas, R, SAS, SQL and spreadsheets write.
const MISSING_WORDS: [&str; 15] =
    ["", "na", "nan", "n/a", "null", "none", "?", "-", "<na>", "#n/a", "#na", ".", "--", "1.#ind", "1.#qnan"];

/// A mixed column with more different numbers than this was meant to be numbers.
const FEW_NUMBERS: usize = 20;

pub(super) struct Cells<'a> {
    pub name: &'a str,
    pub rows: usize,
    /// The trimmed text of a row.
    pub cell: Box<dyn Fn(usize) -> &'a str + 'a>,
    pub place: Box<dyn Fn(usize) -> String + 'a>,
    pub decimal_comma: bool,
}

/// What one cell is on its own.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Missing,
    Number(f64),
    /// A number beyond f64, or infinity itself.
    Infinite,
    Boolean(bool),
    Word,
}

pub(super) fn is_missing(cell: &str) -> bool {
    MISSING_WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

fn kind_of(cell: &str, decimal_comma: bool) -> Kind {
    if is_missing(cell) {
        return Kind::Missing;
    }
    let number = |text: &str| text.parse::<f64>().ok();
    let commas = || cell.bytes().filter(|&byte| byte == b',').count() == 1 && !cell.contains('.');
    let parsed =
        number(cell).or_else(|| if decimal_comma && commas() { number(&cell.replace(',', ".")) } else { None });
    match parsed {
        // Rust also reads "+nan" and "-nan".
        Some(value) if value.is_nan() => Kind::Missing,
        Some(value) if value.is_infinite() => Kind::Infinite,
        Some(value) => Kind::Number(value),
        None if cell.eq_ignore_ascii_case("true") => Kind::Boolean(true),
        None if cell.eq_ignore_ascii_case("false") => Kind::Boolean(false),
        None => Kind::Word,
    }
}

impl<'a> Cells<'a> {
    fn kind(&self, row: usize) -> Kind {
        kind_of((self.cell)(row), self.decimal_comma)
    }

    /// Numbers, or words where the cells really are words; true/false are the numbers 1 and 0 unless `keep_words`.
    pub fn infer(&self, keep_words: bool, notes: &mut Vec<String>) -> Result<Values> {
        let (mut numbers, mut booleans, mut others) = (0_usize, 0_usize, 0_usize);
        for row in 0..self.rows {
            match self.kind(row) {
                Kind::Missing => {}
                Kind::Number(_) | Kind::Infinite => numbers += 1,
                Kind::Boolean(_) => booleans += 1,
                Kind::Word => others += 1,
            }
        }
        if others == 0 && (booleans == 0 || (numbers == 0 && !keep_words)) {
            self.check_decimal_marks()?;
            self.note_rounding(notes);
            return Ok(Values::Number(self.numbers()?));
        }
        let words = others + booleans;
        if booleans == 0 && self.all_words_are_grouped() {
            return Ok(Values::Number(self.strict_numbers(false)?));
        }
        if numbers > words && self.meant_as_numbers(numbers, words) {
            // Fails at the first cell that is no number.
            return Ok(Values::Number(self.strict_numbers(false)?));
        }
        if numbers > 0 {
            let first = self.first(|kind| matches!(kind, Kind::Word | Kind::Boolean(_)));
            notes.push(format!(
                "column \"{}\" is taken as text: {words} of its {} values are no numbers (the first: {}); override by \
                 changing them",
                self.name,
                numbers + words,
                (self.place)(first)
            ));
        }
        Ok(self.words())
    }

    /// Whether all that is no number is one with its thousands parted. Groups with spaces may be telephone numbers.
    fn all_words_are_grouped(&self) -> bool {
        let words = || (0..self.rows).filter(|&row| self.kind(row) == Kind::Word).map(|row| (self.cell)(row));
        words().all(|cell| is_grouped(cell) && !cell.contains(' '))
    }

    /// Where the comma is the decimal mark a point may be one too, or it may part thousands: nobody can tell.
    fn check_decimal_marks(&self) -> Result<()> {
        let with = |mark: char| (0..self.rows).find(|&row| (self.cell)(row).contains(mark));
        match (with(','), with('.')) {
            (Some(_), Some(row)) if self.decimal_comma && !is_missing((self.cell)(row)) => {
                Err(Error::data(format!("column \"{}\" has both decimal commas and points", self.name))
                    .at((self.place)(row))
                    .remedy("write all numbers with a decimal point and without marks between thousands"))
            }
            _ => Ok(()),
        }
    }

    fn note_rounding(&self, notes: &mut Vec<String>) {
        let large =
            |row: &usize| matches!(self.kind(*row), Kind::Number(value) if value.abs() >= EXACT_INTEGERS as f64);
        let digits = |row: &usize| (self.cell)(*row).bytes().all(|byte| byte.is_ascii_digit() || b"+-".contains(&byte));
        if let Some(row) = (0..self.rows).find(|row| large(row) && digits(row)) {
            notes.push(format!(
                "column \"{}\": integers beyond 2^53 are rounded (the first: {}); override by making them words, if they \
                 are names",
                self.name,
                (self.place)(row)
            ));
        }
    }

    fn first(&self, is: impl Fn(Kind) -> bool) -> usize {
        (0..self.rows).find(|&row| is(self.kind(row))).unwrap_or(0)
    }

    /// Whether the words among the numbers are slips rather than categories: few of them or always the same, and the
    /// numbers too many to be categories ("1", "2", "3+").
    fn meant_as_numbers(&self, numbers: usize, words: usize) -> bool {
        let mut different_numbers = HashSet::new();
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for row in 0..self.rows {
            match self.kind(row) {
                Kind::Number(value) => drop(different_numbers.insert(value.to_bits())),
                Kind::Word | Kind::Boolean(_) => *counts.entry((self.cell)(row)).or_default() += 1,
                Kind::Missing | Kind::Infinite => {}
            }
        }
        let slips = words == 1 || words * 10 < numbers + words || counts.len() <= 3;
        let categories = different_numbers.len() <= FEW_NUMBERS && counts.values().all(|&count| count > 1);
        slips && !categories
    }

    /// All cells as numbers, true and false as 1 and 0; any other cell is an error.
    pub fn numbers(&self) -> Result<Vec<f64>> {
        self.strict_numbers(true)
    }

    fn strict_numbers(&self, booleans: bool) -> Result<Vec<f64>> {
        (0..self.rows)
            .map(|row| match self.kind(row) {
                Kind::Missing => Ok(f64::NAN),
                Kind::Number(value) => Ok(value),
                Kind::Boolean(value) if booleans => Ok(f64::from(u8::from(value))),
                kind => Err(self.no_number(row, kind)),
            })
            .collect()
    }

    fn no_number(&self, row: usize, kind: Kind) -> Error {
        let (name, cell) = (self.name, excerpt((self.cell)(row)));
        if kind == Kind::Infinite {
            return Error::data(format!("\"{cell}\" in column \"{name}\" is not a finite number"))
                .at((self.place)(row))
                .remedy("write a finite number, or leave the cell empty for a missing value");
        }
        let error = Error::data(format!("\"{cell}\" in column \"{name}\" is not a number")).at((self.place)(row));
        if is_grouped((self.cell)(row)) {
            return error.remedy("write it without the marks between thousands");
        }
        error.remedy("correct it, leave the cell empty for a missing value, or list the column in `ignore`")
    }

    /// All cells as words.
    pub fn words(&self) -> Values {
        Values::text((0..self.rows).map(|row| Some((self.cell)(row)).filter(|cell| !is_missing(cell))))
    }
}

/// Whether the cell is a number whose thousands are parted, such as 1,234,567.8 or 1 234.
fn is_grouped(cell: &str) -> bool {
    let (whole, rest) = cell.split_once('.').unwrap_or((cell, ""));
    let groups: Vec<&str> =
        whole.trim_start_matches(['-', '+']).split([',', ' ', '\'', '\u{a0}', '\u{202f}']).collect();
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    groups.len() > 1
        && (1..=3).contains(&groups[0].len())
        && groups[1..].iter().all(|group| group.len() == 3)
        && groups.iter().all(|group| digits(group))
        && digits(rest)
}

/// A cell short enough for a message.
fn excerpt(cell: &str) -> String {
    if cell.chars().count() <= 40 { cell.into() } else { cell.chars().take(40).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column<'a>(cells: &'a [&'a str]) -> Cells<'a> {
        Cells {
            name: "rooms",
            rows: cells.len(),
            cell: Box::new(|row| cells[row]),
            place: Box::new(|row| format!("a.csv:{}:1", row + 2)),
            decimal_comma: false,
        }
    }

    fn infer(cells: &[&str]) -> Result<Values> {
        column(cells).infer(false, &mut Vec::new())
    }

    #[test]
    fn missing_words_are_known_in_any_case() {
        for word in ["", "NA", "NaN", "n/a", "NULL", "None", "?", "-", "-nan"] {
            assert_eq!(kind_of(word, false), Kind::Missing, "{word}");
        }
        assert_eq!(kind_of("-1", false), Kind::Number(-1.0));
        assert_eq!(kind_of("nano", false), Kind::Word);
    }

    #[test]
    fn true_and_false_are_one_and_zero_unless_words_are_kept() {
        let cells = ["True", "false", ""];
        let Values::Number(values) = infer(&cells).unwrap() else { panic!("numbers") };
        assert_eq!(values[..2], [1.0, 0.0]);
        assert!(values[2].is_nan());
        assert!(matches!(column(&cells).infer(true, &mut Vec::new()).unwrap(), Values::Text { .. }));
    }

    #[test]
    fn one_word_among_numbers_is_an_error_with_place_and_remedy() {
        let error = infer(&["1", "2.5", "three", "4"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "a.csv:4:1: \"three\" in column \"rooms\" is not a number; correct it, leave the cell empty for a missing \
             value, or list the column in `ignore`"
        );
    }

    #[test]
    fn one_repeated_word_among_many_numbers_is_an_error() {
        let cells: Vec<String> =
            (0..100).map(|i| if i % 3 == 0 { "unknown".into() } else { format!("{i}.5") }).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        assert!(infer(&cells).unwrap_err().to_string().contains("a.csv:2:1: \"unknown\""));
    }

    #[test]
    fn few_numbers_with_repeated_words_are_categories() {
        let cells = ["1", "2", "3+", "1", "2", "3+", "1", "1"];
        assert!(matches!(infer(&cells).unwrap(), Values::Text { .. }));
    }

    #[test]
    fn tickets_are_text_and_a_note_says_so() {
        let cells: Vec<String> =
            (0..100).map(|i| if i % 4 == 0 { format!("PC {i}") } else { format!("{}", 1000 + i) }).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        let mut notes = Vec::new();
        assert!(matches!(column(&cells).infer(false, &mut notes).unwrap(), Values::Text { .. }));
        assert!(notes[0].contains("25 of its 100 values") && notes[0].contains("a.csv:2:1"), "{}", notes[0]);
    }

    #[test]
    fn infinity_is_an_error() {
        for cell in ["inf", "-Infinity", "1e999"] {
            let error = infer(&["1", cell, "3"]).unwrap_err().to_string();
            assert!(error.contains("a.csv:3:1") && error.contains("not a finite number"), "{error}");
        }
    }
}
