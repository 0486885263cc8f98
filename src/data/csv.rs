//! CSV and TSV text: a header row, then one row a line. Knows places in the file, not what the columns are for.

use super::cells;
use super::dialect::{self, FirstLine};
use super::source::{Content, File};
use super::table::{Column, Tabular, Values};
use crate::error::{Error, Result};

/// A parsed file. The text stays, so that an error can say where its cell is.
pub(super) struct Sheet {
    file: String,
    text: String,
    delimiter: u8,
    names: Vec<String>,
    /// Fields of each line: the names, and the empty ones that trailing delimiters make.
    width: usize,
    /// All cells behind each other, row by row, unquoted; cell i ends at `ends[i]`.
    cells: String,
    ends: Vec<usize>,
    /// Where each row starts in `text`.
    starts: Vec<usize>,
    notes: Vec<String>,
}

pub(super) fn read(file: File, delimiter: Option<u8>) -> Result<Content> {
    Ok(Content::Table(Box::new(Sheet::parse(file, delimiter)?)))
}

impl Sheet {
    pub fn parse(file: File, delimiter: Option<u8>) -> Result<Self> {
        let File { place, bytes } = file;
        let text = dialect::utf8(bytes, &place)?;
        let mut notes = Vec::new();
        let delimiter = delimiter.unwrap_or_else(|| dialect::guess_delimiter(&text, &mut notes));
        dialect::check_width(&text, delimiter, &place)?;
        let mut sheet = Sheet {
            file: place,
            text,
            delimiter,
            names: Vec::new(),
            width: 0,
            cells: String::new(),
            ends: Vec::new(),
            starts: Vec::new(),
            notes,
        };
        sheet.fill()?;
        Ok(sheet)
    }

    fn fill(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        let mut reader = ::csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(self.delimiter)
            .from_reader(text.as_bytes());
        let mut record = ::csv::StringRecord::new();
        let mut header_at = None;
        let mut start = 0;
        let result = loop {
            let next = reader.position().byte() as usize;
            match reader.read_record(&mut record) {
                Ok(true) => {}
                other => break other,
            }
            // A line of blanks is a blank line, unless the table has a single column.
            if record.iter().all(|cell| cell.trim().is_empty()) && record.len() == 1 && self.names.len() != 1 {
                continue;
            }
            start = next + text.bytes().skip(next).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if header_at.is_none() {
                header_at = Some(start);
                self.names = record.iter().map(|name| name.trim().to_string()).collect();
                self.width = self.names.len();
                continue;
            }
            self.starts.push(start);
            if record.len() != self.names.len() {
                self.text = text;
                return Err(self.ragged(record.len()));
            }
            for cell in &record {
                self.cells.push_str(cell.trim());
                self.ends.push(self.cells.len());
            }
        };
        self.text = text;
        result
            .map_err(|error| Error::data(format!("is not a table: {error}")).at(&self.file).remedy("save it as CSV"))?;
        let Some(header_at) = header_at else {
            return Err(Error::data("is empty").at(&self.file).remedy("give it a header row and rows of data"));
        };
        if self.leaves_open(start) {
            let problem = format!("a quote in this row is never closed, so the rest of the file is its {}", {
                if self.starts.is_empty() { "header" } else { "last cell" }
            });
            return Err(Error::data(problem)
                .at(self.locate(start, 0))
                .remedy("close the quote, or double it in a cell"));
        }
        self.cut_trailing_columns();
        self.check_header(header_at)?;
        if self.starts.is_empty() {
            return Err(Error::data("has a header but no rows").at(&self.file).remedy("add rows below the header"));
        }
        Ok(())
    }

    /// Whether the file's last row, which starts at `start`, ends inside a quoted cell of several lines.
    fn leaves_open(&self, start: usize) -> bool {
        let row = self.text[start..].trim_end();
        let quotes = row.bytes().filter(|&byte| byte == b'"').count();
        if quotes % 2 == 0 {
            return false;
        }
        // Inches in a cell that has no quotes around it are no quote, and stay in their line.
        let is_delimiter = |c: char| c == char::from(self.delimiter);
        row.contains(['\n', '\r']) || row.rsplit(is_delimiter).next().is_some_and(|cell| cell.starts_with('"'))
    }

    /// Leaves out the columns at the end that have neither name nor value: what trailing delimiters make.
    fn cut_trailing_columns(&mut self) {
        let is_empty = |column: usize| (0..self.starts.len()).all(|row| self.cell(row, column).is_empty());
        let used = (0..self.width).rev().find(|&column| !self.names[column].is_empty() || !is_empty(column));
        let cut = self.width - used.map_or(self.width, |last| last + 1);
        if cut > 0 {
            self.names.truncate(self.width - cut);
            let columns = if cut == 1 { "column" } else { "columns" };
            self.notes.push(format!(
                "{cut} {columns} without name and values at the end of each line left out; override by naming them"
            ));
        }
    }

    fn check_header(&mut self, start: usize) -> Result<()> {
        for (index, name) in self.names.iter().enumerate() {
            dialect::check_name(name).map_err(|error| error.at(self.locate(start, index)))?;
        }
        let remedy = "a header row with a name for each column is needed: is it missing?";
        let recurs = |column: usize| {
            let again = |row: usize| self.cell(row, column) == self.names[column] && !self.repeats_header(row);
            (0..self.starts.len()).any(again)
        };
        let shown = || self.names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if self.names.len() > 5 { ", …" } else { "" };
        // Quotes say that a number is meant as a name.
        let is_quoted = self.text[start..].starts_with('"');
        match dialect::first_line(&self.names, &recurs) {
            FirstLine::Data if !is_quoted => {
                let only_numbers = self.names.iter().all(|name| name.parse::<f64>().is_ok());
                let holds = if only_numbers { "only numbers" } else { "data" };
                let problem = format!("the first line holds {holds} ({}{more})", shown());
                return Err(Error::data(problem).at(self.locate(start, 0)).remedy(remedy));
            }
            FirstLine::Doubtful if !is_quoted => self.notes.push(format!(
                "the first line ({}{more}) is taken for the names of the columns; override by putting a line of names above",
                shown()
            )),
            _ => {}
        }
        if let Some(row) = (0..self.starts.len()).find(|&row| self.repeats_header(row)) {
            return Err(Error::data("this row repeats the header").at(self.place(row, 0)).remedy("delete it"));
        }
        for (index, name) in self.names.iter_mut().enumerate() {
            if name.is_empty() {
                *name = format!("unnamed_{index}");
            }
        }
        let mut seen = std::collections::HashMap::new();
        for (index, name) in self.names.iter().enumerate() {
            if let Some(first) = seen.insert(name.as_str(), index) {
                let error = Error::data(format!("columns {first} and {index} (from 0) are both named \"{name}\""))
                    .at(self.locate(start, index));
                return Err(error.remedy(if name.parse::<f64>().is_ok() { remedy } else { "rename one of them" }));
            }
        }
        Ok(())
    }

    /// As where two files were put together.
    fn repeats_header(&self, row: usize) -> bool {
        let is_word = |name: &String| !name.is_empty() && name.parse::<f64>().is_err();
        let alike = self.names.iter().enumerate().all(|(column, name)| self.cell(row, column) == name);
        alike && self.names.len() > 1 && self.names.iter().all(is_word) && self.starts.len() > 1
    }

    fn ragged(&self, found: usize) -> Error {
        let row = self.starts.len() - 1;
        let expected = self.names.len();
        let (start, plural) = (self.starts[row], if found == 1 { "" } else { "s" });
        let place = self.locate(start, found.min(expected + 1) - 1);
        let error = Error::data(format!("this row has {found} field{plural}, the header has {expected}")).at(place);
        if spans_lines(&self.text.as_bytes()[start..]) {
            return error.remedy("close the quote that is left open in this row");
        }
        let delimiter = if self.delimiter == b'\t' { "tab".into() } else { format!("`{}`", self.delimiter as char) };
        error.remedy(if found < expected {
            format!("add the missing fields, which {delimiter} separates")
        } else {
            format!("remove the extra fields, or quote a cell that contains a {delimiter}")
        })
    }

    /// `file:line:column` of a field.
    fn locate(&self, start: usize, field: usize) -> String {
        let bytes = self.text.as_bytes();
        let (mut at, mut left, mut quoted) = (start, field, false);
        while left > 0 && at < bytes.len() {
            match bytes[at] {
                b'"' => quoted = !quoted,
                byte if byte == self.delimiter && !quoted => left -= 1,
                _ => {}
            }
            at += 1;
        }
        dialect::position(&self.file, &bytes[..at])
    }

    fn cell(&self, row: usize, column: usize) -> &str {
        let index = row * self.width + column;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.cells[start..self.ends[index]]
    }

    /// A `;` table comes from where the comma is the decimal mark.
    fn decimal_comma(&self) -> bool {
        self.delimiter == b';'
    }

    fn column(&self, column: usize) -> cells::Cells<'_> {
        let cell = move |row| self.cell(row, column);
        let place = move |row| self.place(row, column);
        cells::Cells {
            name: &self.names[column],
            rows: self.starts.len(),
            cell: Box::new(cell),
            place: Box::new(place),
            decimal_comma: self.decimal_comma(),
        }
    }
}

impl Tabular for Sheet {
    fn file(&self) -> &str {
        &self.file
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn rows(&self) -> usize {
        self.starts.len()
    }

    fn default_targets(&self) -> Vec<usize> {
        vec![self.names.len() - 1]
    }

    fn infer(&self, column: usize, keep_words: bool, notes: &mut Vec<String>) -> Result<Column> {
        let values = self.column(column).infer(keep_words, notes)?;
        Ok(Column { name: self.names[column].clone(), values, float: false })
    }

    fn numbers(&self, column: usize) -> Result<Vec<f64>> {
        self.column(column).numbers()
    }

    fn words(&self, column: usize) -> Result<Values> {
        Ok(self.column(column).words())
    }

    fn place(&self, row: usize, column: usize) -> String {
        self.locate(self.starts[row], column)
    }

    fn drops_constants(&self) -> bool {
        true
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// Whether a quote that opens in the first line is still open at its end.
fn spans_lines(row: &[u8]) -> bool {
    let line = row.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sheet> {
        Sheet::parse(File { place: "a.csv".into(), bytes: text.as_bytes().to_vec() }, None)
    }

    fn failure(text: &str) -> String {
        parse(text).err().expect("must fail").to_string()
    }

    fn rows(sheet: &Sheet) -> Vec<Vec<&str>> {
        (0..sheet.rows()).map(|row| (0..sheet.names.len()).map(|column| sheet.cell(row, column)).collect()).collect()
    }

    #[test]
    fn quotes_a_byte_order_mark_crlf_and_blank_lines_are_read_as_a_spreadsheet_writes_them() {
        let sheet = parse("\u{feff}a,\"b, c\"\r\n\r\n1,\"x\"\"y\"\r\n \r\n 2 ,\"two\nlines\"\r\n").unwrap();
        assert_eq!(sheet.names, ["a", "b, c"]);
        assert_eq!(rows(&sheet), [["1", "x\"y"], ["2", "two\nlines"]]);
    }

    #[test]
    fn places_are_counted_as_an_editor_counts_them() {
        let sheet = parse("a,b\r\n\r\n\"é,é\",1\r\n\"x\ny\",22\r\n3,4").unwrap();
        assert_eq!(sheet.place(0, 0), "a.csv:3:1");
        assert_eq!(sheet.place(0, 1), "a.csv:3:7");
        assert_eq!(sheet.place(1, 0), "a.csv:4:1");
        assert_eq!(sheet.place(1, 1), "a.csv:5:4");
        assert_eq!(sheet.place(2, 1), "a.csv:6:3");
    }

    #[test]
    fn a_semicolon_or_a_tab_separates_where_the_header_has_no_comma() {
        let sheet = parse("a;b\n1,5;2\n").unwrap();
        assert_eq!(sheet.numbers(0).unwrap(), [1.5]);
        assert!(sheet.notes()[0].contains("`;`"));
        assert_eq!(rows(&parse("a\tb\n1\t2\n").unwrap()), [["1", "2"]]);
        assert_eq!(rows(&parse("a;b,c\n1,2\n").unwrap()), [["1", "2"]]);
    }

    #[test]
    fn a_ragged_row_says_where_how_many_and_what_to_do() {
        let short = failure("a,b,c\n1,2,3\n4,5\n");
        assert_eq!(
            short,
            "a.csv:3:3: this row has 2 fields, the header has 3; add the missing fields, which `,` separates"
        );
        let long = failure("a,b\n1,2\n\n4,5,66,7\n");
        assert!(long.contains("a.csv:4:5: this row has 4 fields, the header has 2; remove the extra fields"), "{long}");
        let open = failure("a,b\n1,2\n\"4,5\n6,7\n");
        assert!(open.contains("a.csv:3:1") && open.contains("close the quote"), "{open}");
    }

    #[test]
    fn empty_files_and_bare_headers_are_errors() {
        assert_eq!(failure(""), "a.csv: is empty; give it a header row and rows of data");
        assert_eq!(failure("\n \n"), "a.csv: is empty; give it a header row and rows of data");
        assert_eq!(failure("a,b\n"), "a.csv: has a header but no rows; add rows below the header");
    }

    #[test]
    fn two_columns_of_one_name_are_an_error() {
        let error = failure("a,b,a\n1,2,3\n");
        assert_eq!(error, "a.csv:1:5: columns 0 and 2 (from 0) are both named \"a\"; rename one of them");
    }

    #[test]
    fn a_first_line_of_numbers_is_taken_for_a_missing_header() {
        assert!(failure("1.5,2\n3,4\n").contains("a.csv:1:1: the first line holds only numbers"));
        assert!(failure("0,0\n3,4\n").contains("is it missing?"));
        assert!(parse("0,1\n3,4\n").is_ok(), "pandas names nameless columns so");
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_placed() {
        let bytes = b"a,b\n1,2\nf\xc3\xbcr,\xfc\n".to_vec();
        let error = Sheet::parse(File { place: "a.csv".into(), bytes }, None).err().unwrap().to_string();
        assert_eq!(error, "a.csv:3:5: is not UTF-8 text; save it as UTF-8");
        let bytes = b"\xff\xfea\0".to_vec();
        let error = Sheet::parse(File { place: "a.csv".into(), bytes }, None).err().unwrap().to_string();
        assert!(error.contains("UTF-16"));
    }
}
