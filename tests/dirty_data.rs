//! Dirty data, case by case: what is refused, with which sentence, and what is read, with which note. The table here is
//! the one in docs/dirty-data.md, which a test holds to it.

#[path = "support/files.rs"]
mod files;

use std::path::{Path, PathBuf};

use wgrad::config::{Column, Data, Missing, Target, Task};
use wgrad::data::{self, Dataset};

use files::{gzip, npy, npz};

/// What happens to a case.
enum Answer {
    /// Exit code 3, and a sentence that contains this.
    Refused(&'static str),
    /// Rows, encoded features, and a part of a note; an empty part for no note of its own.
    Read(usize, usize, &'static str),
}

use Answer::{Read, Refused};

struct Case {
    name: &'static str,
    file: &'static str,
    bytes: Vec<u8>,
    options: Data,
    answer: Answer,
}

fn csv(name: &'static str, text: impl Into<String>, answer: Answer) -> Case {
    Case { name, file: "t.csv", bytes: text.into().into_bytes(), options: Data::default(), answer }
}

fn bytes(name: &'static str, file: &'static str, bytes: Vec<u8>, answer: Answer) -> Case {
    Case { name, file, bytes, options: Data::default(), answer }
}

fn with(mut case: Case, change: impl FnOnce(&mut Data)) -> Case {
    change(&mut case.options);
    case
}

/// A header, and `rows` lines.
fn table(header: &str, rows: usize, line: impl Fn(usize) -> String) -> String {
    let lines: String = (0..rows).map(|row| line(row) + "\n").collect();
    format!("{header}\n{lines}")
}

/// A good table of two columns and twenty rows.
fn good() -> String {
    table("a,y", 20, |i| format!("{},{}.5", i * 7 % 11, i))
}

fn utf16(text: &str, mark: &[u8]) -> Vec<u8> {
    mark.iter().copied().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect()
}

fn one(name: &str) -> Option<Target> {
    Some(Target::One(Column::Name(name.into())))
}

fn encodings() -> Vec<Case> {
    let good_bytes = good().into_bytes();
    vec![
        csv("a UTF-8 byte order mark", format!("\u{feff}{}", good()), Read(20, 1, "")),
        bytes(
            "UTF-16 with its mark",
            "t.csv",
            utf16(&good(), &[0xff, 0xfe]),
            Refused("is UTF-16, not UTF-8; save it as UTF-8"),
        ),
        bytes("UTF-16 without a mark", "t.csv", utf16(&good(), &[]), Refused("t.csv:1:2: holds a NUL character")),
        bytes(
            "Latin-1",
            "t.csv",
            b"a,y\nf\xfcr,1\n".to_vec(),
            Refused("t.csv:2:2: is not UTF-8 text; save it as UTF-8"),
        ),
        bytes(
            "a NUL in a cell",
            "t.csv",
            b"a,y\n1\x00,2\n".to_vec(),
            Refused("t.csv:2:2: holds a NUL character, which no text has; "),
        ),
        csv("Windows line ends", good().replace('\n', "\r\n"), Read(20, 1, "")),
        csv("old Macintosh line ends", good().replace('\n', "\r"), Read(20, 1, "")),
        csv("no line end after the last row", good().trim_end(), Read(20, 1, "")),
        csv("blank lines between the rows", good().replace('\n', "\n\n"), Read(20, 1, "")),
        bytes("gzip under another name", "t.csv", gzip(&good_bytes), Read(20, 1, "")),
        bytes(
            "gzip that is cut off",
            "t.csv.gz",
            gzip(&good_bytes)[..40].to_vec(),
            Refused("the gzip stream is damaged: "),
        ),
        bytes("a spreadsheet", "t.xlsx", b"PK\x03\x04".to_vec(), Refused("this kind of file is unknown; use .csv")),
        bytes(
            "an archive under the name of a table",
            "t.csv",
            npz(&[("x.npy", vec![0; 100])], false),
            Refused("is not UTF-8 text; "),
        ),
        csv("nothing", "", Refused("is empty; give it a header row and rows of data")),
        csv("only blank lines", "\n \n\n", Refused("is empty; ")),
    ]
}

fn separators() -> Vec<Case> {
    vec![
        csv("semicolons", good().replace(',', ";"), Read(20, 1, "fields are separated by `;`")),
        csv(
            "semicolons and decimal commas",
            table("a;y", 20, |i| format!("{},25;{i},5", i * 7 % 11)),
            Read(20, 1, "a decimal comma is read as a point"),
        ),
        csv(
            "decimal commas and points in one column",
            "a;y\n1,5;1\n2.500;2\n3,5;3\n",
            Refused("t.csv:3:1: column \"a\" has both decimal commas and points; "),
        ),
        csv("tabs in a .csv", good().replace(',', "\t"), Read(20, 1, "fields are separated by tabs")),
        csv("vertical bars", good().replace(',', "|"), Read(20, 1, "fields are separated by `|`")),
        csv(
            "thousands parted by commas",
            table("a,y", 20, |i| format!("\"1,{i:03}\",{i}.5")),
            Refused("t.csv:2:1: \"1,000\" in column \"a\" is not a number"),
        ),
        csv(
            "a thousands mark in one cell",
            table("a,y", 20, |i| if i == 3 { "\"1,234\",3.5".into() } else { format!("{i}.25,{i}.5") }),
            Refused(
                "t.csv:5:1: \"1,234\" in column \"a\" is not a number; write it without the marks between thousands",
            ),
        ),
        csv(
            "a row that is too short",
            "a,b,y\n1,2,3\n4,5\n",
            Refused("t.csv:3:3: this row has 2 fields, the header has 3; add the missing fields"),
        ),
        csv(
            "a row that is too long",
            "a,b,y\n1,2,3\n4,5,6,7\n",
            Refused("t.csv:3:7: this row has 4 fields, the header has 3; remove the extra fields"),
        ),
        csv(
            "a delimiter after each row but not the header",
            "a,y\n1,2,\n3,4,\n",
            Refused("t.csv:2:5: this row has 3 fields, the header has 2; remove the extra fields"),
        ),
        csv(
            "a delimiter after each line",
            good().replace('\n', ",\n"),
            Read(20, 1, "1 column without name and values at the end of each line left out"),
        ),
        csv(
            "three delimiters after each line",
            good().replace('\n', ",,,\n"),
            Read(20, 1, "3 columns without name and values at the end"),
        ),
        csv(
            "quoted line ends, quotes and delimiters",
            table("a,b,y", 20, |i| format!("\"x{}\n\"\"y\"\", z\",{i},{i}.5", i % 2)),
            Read(20, 3, ""),
        ),
        csv(
            "a quote left open in the header",
            "a,\"b,y\n1,2,3\n4,5,6\n",
            Refused(
                "t.csv:1:1: a quote in this row is never closed, so the rest of the file is its header; close the quote",
            ),
        ),
        csv(
            "a quote left open in the last column",
            "a,y\n1,2\n3,\"4\n5,6\n7,8\n",
            Refused("t.csv:3:1: a quote in this row is never closed, so the rest of the file is its last cell; "),
        ),
        csv("a quote left open in another column", "a,y\n1,2\n\"3,4\n5,6\n", Refused("t.csv:3:1: ")),
        csv("inches in a cell", table("a,b,y", 20, |i| format!("{}\",{i},{i}.5", i % 2)), Read(20, 3, "")),
    ]
}

fn headers() -> Vec<Case> {
    let wide = |columns: usize| {
        let names: Vec<String> = (0..columns).map(|column| format!("c{column}")).collect();
        let row = |row: usize| {
            (0..columns).map(|column| ((row + 1) * (column + 3) % 10_007).to_string()).collect::<Vec<_>>().join(",")
        };
        table(&(names.join(",") + ",y"), 12, |i| format!("{},{i}.5", row(i)))
    };
    vec![
        csv("a header and no rows", "a,b,y\n", Refused("has a header but no rows; add rows below the header")),
        csv(
            "no header, fractions",
            "5.1,3.5,1.4\n4.9,3.0,1.4\n4.7,3.2,1.3\n",
            Refused(
                "t.csv:1:1: the first line holds only numbers (5.1, 3.5, 1.4); a header row with a name for each column is needed: is it missing?",
            ),
        ),
        csv(
            "no header, integers",
            "6,148,72\n1,85,66\n8,183,64\n",
            Refused("t.csv:1:1: the first line holds only numbers (6, 148, 72); "),
        ),
        csv(
            "no header, numbers and a class",
            table("5.1,3.5,setosa", 20, |i| format!("{}.5,{i},{}", i % 7, ["setosa", "virginica"][i % 2])),
            Refused("t.csv:1:1: the first line holds data (5.1, 3.5, setosa); "),
        ),
        csv(
            "no header, letters",
            table("x,s,n", 20, |i| format!("{},{},{}", ["x", "b"][i % 2], ["s", "y"][i % 2], ["n", "t"][i / 2 % 2])),
            Refused("t.csv:1:1: the first line holds data (x, s, n); "),
        ),
        csv(
            "perhaps no header",
            table("Braund,22,7.25", 20, |i| format!("P{},{i},{i}.5", i % 3)),
            Read(20, 4, "the first line (Braund, 22, 7.25) is taken for the names of the columns; "),
        ),
        csv("columns named 0, 1, 2", table("0,1,2", 20, |i| format!("{},{},{i}.5", i % 7, i % 5)), Read(20, 2, "")),
        csv(
            "columns named by years",
            table("2019,2020,2021", 20, |i| format!("{},{},{i}.5", i % 7, i % 5)),
            Read(20, 2, "the first line (2019, 2020, 2021) is taken for the names"),
        ),
        csv(
            "a quoted line of numbers as names",
            table("\"5\",\"3\"", 20, |i| format!("{},{i}.5", i % 7)),
            Read(20, 1, ""),
        ),
        csv(
            "the header again among the rows",
            format!("{}{}", good(), good()),
            Refused("t.csv:22:1: this row repeats the header; delete it"),
        ),
        csv(
            "two columns of one name",
            "a,a,y\n1,2,3\n",
            Refused("t.csv:1:3: columns 0 and 1 (from 0) are both named \"a\"; rename one of them"),
        ),
        csv(
            "an index without a name",
            table(",a,y", 20, |i| format!("{i},{},{i}.5", i % 7)),
            Read(20, 1, "column \"unnamed_0\" is left out: it has no name and counts the rows"),
        ),
        csv(
            "spaces around names and cells",
            table(" a , y ", 20, |i| format!("  {} , {i}.5 ", i % 7)),
            Read(20, 1, "target \"y\""),
        ),
        csv("one column", "y\n1\n2\n", Refused("no feature column is left; ")),
        csv("10000 columns", wide(10_000), Read(12, 10_000, "")),
        csv(
            "10000 columns without a value",
            table(&("c,".to_owned() + &(0..10_000).map(|i| format!("e{i},")).collect::<String>() + "y"), 12, |i| {
                format!("{},{}{i}.5", i * 7 % 11, ",".repeat(10_000))
            }),
            Read(12, 1, "more notes like these on other columns"),
        ),
        csv(
            "a name of 2000 letters",
            format!("{},y\n1,2\n", "a".repeat(2000)),
            Refused("t.csv:1:1: a column's name is 2000 characters long; "),
        ),
        with(
            csv(
                "a target that is not there",
                good(),
                Refused("there is no column \"price\" for the target; the columns are a, y"),
            ),
            |data| data.target = one("price"),
        ),
        with(
            csv(
                "the default target in `ignore`",
                good(),
                Refused(
                    "\"y\" is in `ignore`, but is the target where none is named; name the target with --target NAME",
                ),
            ),
            |data| data.ignore = vec![Column::Name("y".into())],
        ),
        with(
            csv(
                "the named target in `ignore`",
                good(),
                Refused("the target \"y\" is ignored; take it out of `ignore`"),
            ),
            |data| (data.target, data.ignore) = (one("y"), vec![Column::Name("y".into())]),
        ),
    ]
}

fn missing() -> Vec<Case> {
    let words = ["", "NA", "N/A", "NaN", "-nan", "null", "None", "?", "-", "<NA>", "#N/A", "--", "1.#IND", "."];
    let spelt = table("a,y", 28, |i| if i < 14 { format!("{},{i}.5", words[i]) } else { format!("{i},{i}.5") });
    let gaps = || table("a,y", 20, |i| if i == 4 { ",4.5".into() } else { format!("{},{i}.5", i % 7) });
    vec![
        csv(
            "fourteen spellings of nothing",
            spelt,
            Read(28, 1, "column \"a\": 14 of 28 values are missing and filled with the training rows' mean"),
        ),
        with(
            csv(
                "a missing cell, with missing = \"error\"",
                gaps(),
                Refused("t.csv:6:1: the value of \"a\" is missing in this row; "),
            ),
            |data| data.missing = Missing::Error,
        ),
        with(
            csv(
                "a missing cell, with missing = \"drop\"",
                gaps(),
                Read(19, 1, "1 of 20 rows are dropped for missing values"),
            ),
            |data| data.missing = Missing::Drop,
        ),
        with(
            csv(
                "a gap in every row, with missing = \"drop\"",
                "a,b,y\n1,,2\n,2,3\n",
                Refused("every row has a missing value, most of them in "),
            ),
            |data| data.missing = Missing::Drop,
        ),
        csv(
            "a column without a value",
            table("a,b,y", 20, |i| format!("{},,{i}.5", i % 7)),
            Read(20, 1, "column \"b\" is left out: it is empty"),
        ),
        csv(
            "a missing target",
            "a,y\n1,2.5\n2,\n3,4.5\n",
            Refused("t.csv:3:3: the target \"y\" is missing in this row; "),
        ),
        csv(
            "a target without a value",
            table("a,y", 20, |i| format!("{i},")),
            Refused("the target \"y\" has no value in any row; name another with --target NAME"),
        ),
        csv(
            "no feature with a value",
            table("a,b,y", 20, |i| format!(",,{i}.5")),
            Refused("no feature column is left that could be learnt from; "),
        ),
    ]
}

fn numbers() -> Vec<Case> {
    vec![
        csv(
            "a word among numbers",
            table("a,y", 20, |i| if i == 3 { "three,3.5".into() } else { format!("{i}.25,{i}.5") }),
            Refused(
                "t.csv:5:1: \"three\" in column \"a\" is not a number; correct it, leave the cell empty for a missing value, or list the column in `ignore`",
            ),
        ),
        csv(
            "infinity",
            "a,y\n1,2.5\ninf,3.5\n3,4.5\n",
            Refused("t.csv:3:1: \"inf\" in column \"a\" is not a finite number; "),
        ),
        csv(
            "a number beyond f64",
            "a,y\n1,2.5\n1e400,3.5\n3,4.5\n",
            Refused("t.csv:3:1: \"1e400\" in column \"a\" is not a finite number; "),
        ),
        csv("numbers beyond f32", table("a,y", 20, |i| format!("{}e300,{i}.5", i + 1)), Read(20, 1, "")),
        with(
            csv(
                "numbers beyond f32, unscaled",
                table("a,y", 20, |i| format!("{}e300,{i}.5", i + 1)),
                Refused("t.csv:2:1: "),
            ),
            |data| data.standardize = false,
        ),
        csv("numbers below f32", table("a,y", 20, |i| format!("{}e-300,{i}.5", i + 1)), Read(20, 1, "")),
        csv(
            "integers beyond 2^53",
            table("a,y", 20, |i| format!("{},{i}.5", 9_007_199_254_740_993_u64 + 2 * i as u64)),
            Read(20, 1, "column \"a\": integers beyond 2^53 are rounded (the first: t.csv:2:1)"),
        ),
        csv(
            "percent signs",
            table("a,y", 20, |i| if i == 7 { "7%,1.5".into() } else { format!("{i}.5,{i}.5") }),
            Refused("t.csv:9:1: \"7%\" in column \"a\" is not a number"),
        ),
        csv(
            "booleans in any case",
            table("a,y", 20, |i| format!("{},{i}.5", ["TRUE", "false"][i % 2])),
            Read(20, 1, ""),
        ),
        csv(
            "integers written as 1.0",
            table("a,y", 20, |i| format!("{},{}.0", i % 7, i % 2)),
            Read(20, 1, "target \"y\": binary (2 distinct integers)"),
        ),
        csv(
            "dates",
            table("d,a,y", 40, |i| format!("2020-01-{:02},{},{i}.5", i % 28 + 1, i % 7)),
            Read(40, 1, "column \"d\" is left out: it is text with 28 different words in 40 rows"),
        ),
        csv(
            "a constant column",
            table("a,b,y", 20, |i| format!("{},7,{i}.5", i % 7)),
            Read(20, 1, "column \"b\" is left out: it is 7 in all training rows"),
        ),
        csv(
            "numbers and words in one column",
            table("a,b,y", 40, |i| {
                format!("{},{},{i}.5", i % 7, if i % 3 == 0 { format!("PC {}", i % 5) } else { (i % 4).to_string() })
            }),
            Read(40, 10, "column \"b\" is taken as text"),
        ),
        csv(
            "a different word in every row",
            table("name,a,y", 40, |i| format!("Person {i},{},{i}.5", i % 7)),
            Read(
                40,
                1,
                "column \"name\" is left out: it is text with 40 different words in 40 rows; override by listing it in `features`",
            ),
        ),
    ]
}

fn targets() -> Vec<Case> {
    vec![
        csv("one row", "a,y\n1,2.5\n", Refused("there is one row only; ")),
        csv(
            "one class",
            table("a,y", 20, |i| format!("{i},x")),
            Refused("the target \"y\" has one class only, x; choose another target"),
        ),
        csv(
            "a class of one row",
            table("a,y", 21, |i| format!("{i},{}", if i == 20 { "c" } else { ["a", "b"][i % 2] })),
            Read(21, 1, "class \"c\" has one row only"),
        ),
        csv(
            "a different word in every target",
            table("a,y", 40, |i| format!("{},Person {i}", i % 7)),
            Refused("the target \"y\" is text with 40 different words in 40 rows; "),
        ),
        with(
            csv(
                "words for regression",
                table("a,y", 20, |i| format!("{i},{}", ["x", "z"][i % 2])),
                Refused("t.csv:2:3: the target \"y\" is text (\"x\"), regression needs numbers; "),
            ),
            |data| data.task = Some(Task::Regression),
        ),
        with(
            csv(
                "fractions for classes",
                good(),
                Refused("t.csv:2:3: the target \"y\" holds 0.5, classes are integers; use --task regression"),
            ),
            |data| data.task = Some(Task::Classification),
        ),
        with(
            csv(
                "three classes for binary",
                table("a,y", 30, |i| format!("{i},{}", i % 3)),
                Refused("the target \"y\" has 3 classes, not two; use --task classification"),
            ),
            |data| data.task = Some(Task::Binary),
        ),
        csv(
            "a constant target",
            table("a,y", 20, |i| format!("{i},3.5")),
            Read(20, 1, "the target \"y\" is 3.5 in every row"),
        ),
        csv(
            "a target among the features under another name",
            table("a,copy,y", 40, |i| format!("{},{},{}", i % 7, ["no", "yes"][i % 2], i % 2)),
            Read(40, 3, "column \"copy\" names the class in every row"),
        ),
    ]
}

fn arrays() -> Vec<Case> {
    let numbers = |count: usize| (0..count).flat_map(|i| (i as f32).to_le_bytes()).collect::<Vec<u8>>();
    let x = || npy("<f4", "(6, 2)", &numbers(12));
    let of = |members: &[(&str, Vec<u8>)]| npz(members, false);
    let mut damaged = of(&[("x.npy", x())]);
    damaged[80] ^= 1;
    vec![
        bytes(
            "an archive without `x`",
            "t.npz",
            of(&[("X_train.npy", x())]),
            Refused("has no array `x`; write it with numpy.savez(file, x=…, y=…)"),
        ),
        bytes(
            "an archive without `y`",
            "t.npz",
            of(&[("x.npy", x())]),
            Refused("has no array `y`, which holds the targets; "),
        ),
        bytes(
            "arrays of different lengths",
            "t.npz",
            of(&[("x.npy", x()), ("y.npy", npy("<f4", "(5,)", &numbers(5)))]),
            Refused("y: has 5 rows, x has 6; "),
        ),
        bytes(
            "an array of objects",
            "t.npz",
            of(&[("x.npy", npy("|O", "(6, 2)", &numbers(12)))]),
            Refused("its element type |O is not one that can be read; "),
        ),
        bytes(
            "an archive with a flipped bit",
            "t.npz",
            damaged,
            Refused("is no sound .npz file: member x.npy does not match its checksum; "),
        ),
        bytes(
            "an archive that is cut off",
            "t.npz",
            of(&[("x.npy", x())])[..150].to_vec(),
            Refused("it has no directory (cut off, or not a ZIP file); "),
        ),
        bytes(
            "infinity in an array",
            "t.npz",
            of(&[
                ("x.npy", npy("<f4", "(2, 1)", &[0, 0, 128, 127, 0, 0, 0, 0])),
                ("y.npy", npy("<f4", "(2,)", &numbers(2))),
            ]),
            Refused("x[0, 0]"),
        ),
        bytes(
            "labels of images that become one when rounded",
            "t.npz",
            of(&[
                ("x.npy", npy("|u1", "(4, 2, 2)", &[7; 16])),
                ("y.npy", npy("<i8", "(4,)", &[0, 1, 1 << 53, (1 << 53) + 1].map(i64::to_le_bytes).concat())),
            ]),
            Refused("t.npz: y: integers beyond 2^53 are rounded, so some become one; number the classes otherwise"),
        ),
    ]
}

fn cases() -> Vec<(&'static str, Vec<Case>)> {
    vec![
        ("Encodings and whole files", encodings()),
        ("Separators and quotes", separators()),
        ("Headers and columns", headers()),
        ("Missing values", missing()),
        ("Cells", numbers()),
        ("Targets", targets()),
        ("Arrays", arrays()),
    ]
}

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the case is answered, with the file's own name in place of its path.
fn load(folder: &Path, case: &Case) -> Result<Dataset, wgrad::Error> {
    let path = folder.join(case.file);
    std::fs::write(&path, &case.bytes).expect("a temporary file can be written");
    let options = Data { source: path.to_str().map(str::to_owned), ..case.options.clone() };
    data::load(&options, 42)
}

/// What is wrong with the answer, or its line in the table.
fn judge(folder: &Path, case: &Case) -> Result<String, String> {
    let prefix = format!("{}/", folder.display());
    let clean = |text: &str| text.replace(&prefix, "");
    match (load(folder, case), &case.answer) {
        (Err(error), Refused(part)) => {
            let said = clean(&error.to_string());
            let form = error.exit_code() == 3 && said.starts_with(case.file) && said.matches("; ").count() == 1;
            let shown = said.strip_prefix("t.csv: ").or(said.strip_prefix("t.npz: ")).unwrap_or(&said).to_owned();
            if form && said.contains(part) { Ok(format!("refused: {shown}")) } else { Err(said) }
        }
        (Ok(data), Read(rows, features, note)) => {
            let notes: Vec<String> = data.notes.iter().map(|note| clean(note)).collect();
            let found = notes.iter().find(|text| text.contains(note));
            let fits = (data.rows, data.feature_columns()) == (*rows, *features);
            match found {
                Some(_) if fits && note.is_empty() => Ok("read".to_owned()),
                Some(text) if fits => Ok(format!("read: {text}")),
                _ => Err(format!("{} rows, {} features, {notes:?}", data.rows, data.feature_columns())),
            }
        }
        (Err(error), _) => Err(clean(&error.to_string())),
        (Ok(data), _) => Err(format!("read: {:?}", data.notes.iter().map(|note| clean(note)).collect::<Vec<_>>())),
    }
}

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dirty-data.md");

#[test]
fn every_case_has_its_answer_and_its_line_in_the_documents() {
    let folder = Folder(std::env::temp_dir().join(format!("wgrad-dirty-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a temporary folder can be made");
    let (mut text, mut wrong, mut count) = (String::new(), Vec::new(), 0);
    for (heading, cases) in cases() {
        text += &format!("\n## {heading}\n\n| the file has | wgrad answers |\n| --- | --- |\n");
        for case in cases {
            count += 1;
            match judge(&folder.0, &case) {
                Ok(line) => text += &format!("| {} | {} |\n", case.name, line.replace('|', "\\|")),
                Err(answer) => wrong.push(format!("{}: {answer}", case.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(count >= 60, "{count} cases");
    let head = format!(
        "# Dirty data\n\nWhat wgrad does with {count} kinds of bad or odd tables. \"Refused\" is exit code 3 and the \
         sentence on stderr; a note stands among the first lines of `wgrad train`. `tests/dirty_data.rs` holds the cases; \
         it writes this page when `WRITE_DOCS=1` is set, and fails where the page says something else.\n"
    );
    let text = head + &text;
    if std::env::var_os("WRITE_DOCS").is_some_and(|value| value == "1") {
        std::fs::write(DOCUMENT, &text).expect("the page can be written");
    }
    let page = std::fs::read_to_string(DOCUMENT).unwrap_or_default().replace("\r\n", "\n");
    assert!(page == text, "docs/dirty-data.md is out of date: run WRITE_DOCS=1 cargo test --release --test dirty_data");
}

#[test]
fn a_wrong_answer_is_noticed() {
    let folder = Folder(std::env::temp_dir().join(format!("wgrad-dirty-planted-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a temporary folder can be made");
    for case in [
        csv("wrong rows", good(), Read(19, 1, "")),
        csv("a note that is not there", good(), Read(20, 1, "no such note")),
        csv("refused, but good", good(), Refused("")),
        csv("good, but refused", "a,y\n", Read(1, 1, "")),
        csv("another sentence", "a,y\n", Refused("no such sentence")),
    ] {
        assert!(judge(&folder.0, &case).is_err(), "{}", case.name);
    }
}
