//! What a text file of fields is like, told before or beside its parsing: its encoding, what separates the fields, and
//! whether the first line can be a header. Knows text, not what the columns are for.

use super::cells;
use super::source::MOST_COLUMNS;
use crate::error::{Error, Result};

/// Characters of a column's name; more are a quote left open or another kind of file.
const LONGEST_NAME: usize = 1000;

/// Bytes at the start of a file that tell what separates its fields.
const GUESSED_FROM: usize = 1 << 20;

/// Checks the encoding and cuts a byte order mark off.
pub(super) fn utf8(bytes: Vec<u8>, place: &str) -> Result<String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Error::data("is UTF-16, not UTF-8").at(place).remedy("save it as UTF-8"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let place = position(place, good);
        Error::data("is not UTF-8 text").at(place).remedy("save it as UTF-8")
    })?;
    if let Some(at) = text.find('\0') {
        return Err(Error::data("holds a NUL character, which no text has")
            .at(position(place, &text.as_bytes()[..at]))
            .remedy("save it as UTF-8 (is it UTF-16, or no text at all?)"));
    }
    if text.starts_with('\u{feff}') {
        text.drain(..3);
    }
    Ok(text)
}

/// `file:line:column` of what follows `before`, lines and characters counted from 1, as an editor counts them.
pub(super) fn position(file: &str, before: &[u8]) -> String {
    let (mut line, mut line_start) = (1, 0);
    for (at, &byte) in before.iter().enumerate() {
        // A line ends with \n, \r\n, or, on an old Macintosh, \r.
        if byte == b'\n' || (byte == b'\r' && before.get(at + 1).is_some_and(|&next| next != b'\n')) {
            (line, line_start) = (line + 1, at + 1);
        }
    }
    let column = before[line_start..].iter().filter(|&&byte| byte & 0xc0 != 0x80).count() + 1;
    format!("{file}:{line}:{column}")
}

/// What separates the fields: the first of these that the header has as often as the line below, or has at all.
pub(super) fn guess_delimiter(text: &str, notes: &mut Vec<String>) -> u8 {
    let mut end = text.len().min(GUESSED_FROM);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut lines = text[..end].split(['\n', '\r']).filter(|line| !line.trim().is_empty());
    let (header, below) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let all = [(b',', ""), (b';', "`;` and a decimal comma is read as a point"), (b'\t', "tabs"), (b'|', "`|`")];
    let within = |delimiter: u8| (unquoted(header, delimiter), unquoted(below, delimiter));
    let alike = |&(delimiter, _): &(u8, &str)| within(delimiter).0 > 0 && within(delimiter).0 == within(delimiter).1;
    let there = |&(delimiter, _): &(u8, &str)| within(delimiter).0 > 0;
    let found = all.into_iter().find(alike).or_else(|| all.into_iter().find(there));
    let (delimiter, name) = found.unwrap_or((b',', ""));
    if delimiter != b',' {
        notes.push(format!("fields are separated by {name}; override by saving the file with commas"));
    }
    delimiter
}

/// How often a delimiter stands outside quotes.
fn unquoted(line: &str, delimiter: u8) -> usize {
    let mut quoted = false;
    let mut count = 0;
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        count += usize::from(byte == delimiter && !quoted);
    }
    count
}

/// Refuses lines of so many fields that reading them would take far more memory than the file has bytes.
pub(super) fn check_width(text: &str, delimiter: u8, place: &str) -> Result<()> {
    // Fields are at least a byte each, so short files need no look.
    if text.len() <= MOST_COLUMNS {
        return Ok(());
    }
    let (mut fields, mut line) = (1, 1);
    for byte in text.bytes() {
        if byte == b'\n' || byte == b'\r' {
            (fields, line) = (1, line + usize::from(byte == b'\n'));
        } else if byte == delimiter {
            fields += 1;
            if fields > MOST_COLUMNS {
                return Err(Error::data(format!("there are more than {MOST_COLUMNS} fields in this line"))
                    .at(format!("{place}:{line}:1"))
                    .remedy("save fewer columns (is the table turned?)"));
            }
        }
    }
    Ok(())
}

/// Refuses names that are no names.
pub(super) fn check_name(name: &str) -> Result<()> {
    let length = name.chars().count();
    if length > LONGEST_NAME {
        return Err(Error::data(format!("a column's name is {length} characters long"))
            .remedy("close the quote that is left open, or put a line of names above the data"));
    }
    Ok(())
}

/// What the first line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FirstLine {
    Names,
    /// It can be names, but looks like data.
    Doubtful,
    /// It is data.
    Data,
}

/// Judges the first line by its own cells and by those below it: `recurs` tells whether a column holds its own name
/// once more.
pub(super) fn first_line(names: &[String], recurs: &dyn Fn(usize) -> bool) -> FirstLine {
    let number = |name: &String| name.parse::<f64>().ok();
    let numbers: Vec<f64> = names.iter().filter_map(number).collect();
    // Libraries name nameless columns 0, 1, 2, …; years and wavelengths ascend too.
    let by_one = numbers.windows(2).all(|pair| pair[1] == pair[0] + 1.0) && numbers.iter().all(|x| x.fract() == 0.0);
    let ascending = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    let is_word = |name: &String| number(name).is_none() && !cells::is_missing(name);
    let words: Vec<usize> = (0..names.len()).filter(|&column| is_word(&names[column])).collect();
    if words.is_empty() {
        return match (numbers.is_empty(), by_one, names.len()) {
            (true, ..) => FirstLine::Names,
            (_, true, _) if numbers.len() > 1 && numbers[0] == 0.0 => FirstLine::Names,
            (_, true, _) if numbers.len() > 1 => FirstLine::Doubtful,
            _ => FirstLine::Data,
        };
    }
    // A word below its own name: as good as certain for every column, and for one beside numbers that do not ascend.
    if words.len() + numbers.len() > 1 && (words.len() > 1 || !ascending) && words.iter().all(|&column| recurs(column))
    {
        return FirstLine::Data;
    }
    if numbers.len() > 1 && !ascending { FirstLine::Doubtful } else { FirstLine::Names }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(names: &str, recurring: &[usize]) -> FirstLine {
        let names: Vec<String> = names.split(',').map(str::to_string).collect();
        first_line(&names, &|column| recurring.contains(&column))
    }

    #[test]
    fn a_first_line_is_told_from_data() {
        for (line, recurring) in [
            ("5.1,3.5,1.4,0.2,setosa", &[4][..]),
            ("1.5,2", &[]),
            ("0,0", &[]),
            ("6,148,72,35", &[]),
            ("x,s,n,t", &[0, 1, 2, 3]),
            ("7.5", &[]),
            ("1.5,,3.5,0.1", &[]),
        ] {
            assert_eq!(judge(line, recurring), FirstLine::Data, "{line}");
        }
        for line in ["1,2,3", "2019,2020,2021", "Braund,22,7.25,S"] {
            assert_eq!(judge(line, &[]), FirstLine::Doubtful, "{line}");
        }
        for (line, recurring) in [
            ("a,b,y", &[][..]),
            ("0,1,2", &[]),
            ("unnamed_0,0,1", &[]),
            ("country,2019,2020", &[]),
            ("sample,400.5,401.25", &[]),
            ("sex,age", &[0]),
            ("y", &[0]),
        ] {
            assert_eq!(judge(line, recurring), FirstLine::Names, "{line}");
        }
    }

    #[test]
    fn the_delimiter_is_the_one_that_the_next_line_has_as_often() {
        let guess = |text: &str| guess_delimiter(text, &mut Vec::new());
        assert_eq!(guess("a,b\n1,2"), b',');
        assert_eq!(guess("a;b\n1,5;2"), b';');
        assert_eq!(guess("net, gross;year\n1,5;2,5"), b';');
        assert_eq!(guess("\"a, b\"|c\n1|2"), b'|');
        assert_eq!(guess("a\tb\n1\t2"), b'\t');
        assert_eq!(guess("a\n1"), b',');
    }

    #[test]
    fn a_position_counts_every_kind_of_line_end_once() {
        assert_eq!(position("f", b"a\r\nb\rc\nde"), "f:4:3");
        assert_eq!(position("f", b""), "f:1:1");
        assert_eq!(position("f", "é,".as_bytes()), "f:1:3");
    }

    #[test]
    fn too_many_fields_are_refused_before_they_are_read() {
        let wide = format!("a,b\n{}", ",".repeat(MOST_COLUMNS));
        let error = check_width(&wide, b',', "a.csv").unwrap_err().to_string();
        assert!(error.starts_with("a.csv:2:1: there are more than"), "{error}");
        assert!(check_width(&wide[..wide.len() - 1], b',', "a.csv").is_ok());
    }
}
