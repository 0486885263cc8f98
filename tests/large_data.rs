//! Data sets that stay in their files are what they are in memory, to the bit, and end in the same sentences.

#[path = "support/archive.rs"]
mod archive;

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::Archive;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgrad::config::{Column, Config, Data, Missing, Target, Task};
use wgrad::cpu::CpuExecutor;
use wgrad::data::{self, Dataset, Features};
use wgrad::train::{Trainer, setup};
use wgrad::{layers, report};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wgrad-large-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(source: &Path) -> Data {
    Data { source: Some(source.display().to_string()), ..Data::default() }
}

/// Loads twice, in memory and from the file, and compares everything.
fn same(options: &Data) -> Dataset {
    let memory = data::load_beyond(options, 7, u64::MAX).unwrap();
    let stored = data::load_beyond(options, 7, 0).unwrap();
    assert!(matches!(stored.features, Features::Stored(_)) && !matches!(memory.features, Features::Stored(_)));
    for row in 0..memory.rows {
        let bits = |dataset: &Dataset| {
            let mut values = Vec::new();
            dataset.features.extend_row(row, &mut values);
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(&stored), bits(&memory), "row {row}");
    }
    assert_eq!(stored.feature_columns(), memory.feature_columns());
    assert_eq!(stored.features.scaling(), memory.features.scaling());
    assert_eq!(Dataset { features: memory.features.clone(), ..stored.clone() }, memory);
    stored
}

/// Both ways end in the same error.
fn same_error(options: &Data) -> String {
    let memory = data::load_beyond(options, 7, u64::MAX).unwrap_err();
    let stored = data::load_beyond(options, 7, 0).unwrap_err();
    assert_eq!(stored, memory);
    stored.to_string()
}

const ROWS: usize = 1200;

/// Six columns of numbers: 1 is constant, 2 is empty, 3 has gaps, 4 is large. `y` is a class or a number.
fn table(path: &Path, descr: &str, deflated: bool, classes: bool) {
    let random = |seed| ChaCha8Rng::seed_from_u64(seed);
    let mut archive = Archive::create(path, deflated).unwrap();
    let mut generator = random(1);
    let write = |value: f64, to: &mut dyn std::io::Write| match descr {
        "<f4" => to.write_all(&(value as f32).to_le_bytes()),
        "<f8" => to.write_all(&value.to_le_bytes()),
        _ => to.write_all(&(value as i32).to_le_bytes()),
    };
    let x = |to: &mut dyn std::io::Write| {
        for row in 0..ROWS {
            for column in 0..6 {
                let value = f64::from(generator.next_u32()) / f64::from(u32::MAX) * 100.0 - 30.0;
                let value = match column {
                    1 => 4.0,
                    2 if descr != "<i4" => f64::NAN,
                    3 if row % 7 == 3 && descr != "<i4" => f64::NAN,
                    4 => value * 1e6,
                    _ => value,
                };
                write(value, to)?;
            }
        }
        Ok(())
    };
    archive.add("x", descr, &format!("({ROWS}, 6)"), x).unwrap();
    let mut generator = random(2);
    let y = |to: &mut dyn std::io::Write| {
        for _ in 0..ROWS {
            match (classes, generator.next_u32()) {
                (true, random) => to.write_all(&i64::from(random % 3).to_le_bytes())?,
                (false, random) => to.write_all(&(f64::from(random) / 1e9).to_le_bytes())?,
            }
        }
        Ok(())
    };
    archive.add("y", if classes { "<i8" } else { "<f8" }, &format!("({ROWS},)"), y).unwrap();
    archive.finish().unwrap();
}

#[test]
fn a_table_in_a_file_is_what_it_is_in_memory() {
    let folder = Folder::new("table");
    let path = folder.path("t.npz");
    for (descr, deflated, classes) in [("<f4", false, true), ("<f8", true, false), ("<i4", false, false)] {
        table(&path, descr, deflated, classes);
        let dataset = same(&options(&path));
        assert_eq!(dataset.rows, ROWS);
        assert_eq!(dataset.feature_columns(), if descr == "<i4" { 6 } else { 5 }, "an empty column is left out");
        assert_eq!(dataset.task, if classes { Task::Classification } else { Task::Regression });
        same(&Data { standardize: false, split: [1.0, 0.0, 0.0], ..options(&path) });
    }
}

#[test]
fn gaps_are_dropped_or_refused_and_columns_chosen_as_in_memory() {
    let folder = Folder::new("gaps");
    let path = folder.path("t.npz");
    table(&path, "<f4", false, false);
    let dropped = same(&Data { missing: Missing::Drop, ..options(&path) });
    assert_eq!(dropped.rows, ROWS - ROWS.div_ceil(7).min(171));
    let refused = same_error(&Data { missing: Missing::Error, ..options(&path) });
    assert!(refused.contains("x[3, 3]: the value of \"x_3\" is missing in this row"), "{refused}");
    let target = Some(Target::One(Column::Name("x_4".into())));
    let ignore = vec![Column::Name("y".into())];
    let listed = Some([5, 1, 0].map(Column::Index).to_vec());
    let chosen = same(&Data { target: target.clone(), features: listed, ..options(&path) });
    assert_eq!((chosen.feature_names.join(" "), chosen.target_names.join(" ")), ("x_5 x_1 x_0".into(), "x_4".into()));
    let gaps = Some(Target::One(Column::Name("x_3".into())));
    assert!(
        same_error(&Data { target: gaps.clone(), ignore: ignore.clone(), ..options(&path) })
            .contains("the target \"x_3\" is missing")
    );
    same(&Data { target: gaps, ignore, missing: Missing::Drop, ..options(&path) });
    let y = Some(vec![Column::Name("y".into())]);
    let error = data::load_beyond(&Data { target, features: y, ..options(&path) }, 7, 0).unwrap_err().to_string();
    assert!(error.contains("\"y\" is no column of x") && error.contains("save it as a column of x"), "{error}");
}

/// One column of these.
fn numbers(path: &Path, values: &[f64]) {
    let mut archive = Archive::create(path, false).unwrap();
    let write = |values: &[f64], to: &mut dyn std::io::Write| {
        values.iter().try_for_each(|value| to.write_all(&value.to_le_bytes()))
    };
    let count = values.len();
    archive.add("x", "<f8", &format!("({count}, 1)"), |to| write(values, to)).unwrap();
    let y: Vec<f64> = (0..count).map(|row| row as f64 * 0.37).collect();
    archive.add("y", "<f8", &format!("({count},)"), |to| write(&y, to)).unwrap();
    archive.finish().unwrap();
}

#[test]
fn numbers_that_no_network_takes_are_refused_with_their_place() {
    let folder = Folder::new("numbers");
    let path = folder.path("n.npz");
    let mut values: Vec<f64> = (0..50).map(f64::from).collect();
    values[17] = f64::INFINITY;
    numbers(&path, &values);
    assert!(same_error(&options(&path)).contains("x[17, 0]: inf is not a finite number"));
    values[17] = 1e300;
    numbers(&path, &values);
    let raw = Data { standardize: false, ..options(&path) };
    assert!(same_error(&raw).contains("x[17, 0]: 1") && same_error(&raw).contains("too large for 32-bit floats"));
    numbers(&path, &[3.0; 50]);
    assert_eq!(same(&options(&path)).feature_columns(), 1, "an array keeps its shape");
}

#[test]
fn integers_that_become_one_are_told_about() {
    let folder = Folder::new("integers");
    let path = folder.path("i.npz");
    let write = |path: &Path, x: i64, y: i64| {
        let mut archive = Archive::create(path, false).unwrap();
        let row = |row: i64, from: i64, to: &mut dyn std::io::Write| to.write_all(&(from + row % 2).to_le_bytes());
        archive.add("x", "<i8", "(50, 1)", |to| (0..50).try_for_each(|i| row(i, x, to))).unwrap();
        archive.add("y", "<i8", "(50,)", |to| (0..50).try_for_each(|i| row(i, y, to))).unwrap();
        archive.finish().unwrap();
    };
    let rounded = |name: &str| format!("column \"{name}\": integers beyond 2^53 are rounded");
    let regression = Data { task: Some(Task::Regression), ..options(&path) };
    let notes = |x: i64, y: i64| {
        write(&path, x, y);
        let notes = same(&regression).notes;
        ["x_0", "y"].map(|name| notes.iter().any(|note| note.starts_with(&rounded(name))))
    };
    assert_eq!(notes(7, -(1 << 53) - 1), [false, true]);
    assert_eq!(notes(1 << 60, 5), [true, false]);
}

/// The importance of every column and the values beside a mistake, after one epoch on the CPU.
fn evidence(data: &Dataset) -> report::Evidence {
    let mut config = Config::default();
    config.train.epochs = 1;
    let plan = Arc::new(layers::compile(&config, setup::shape(data), u64::MAX).map_err(|(_, error)| error).unwrap());
    let executor = Box::new(CpuExecutor::<f32>::new(plan, 1).unwrap());
    let mut trainer = Trainer::new(&config, data, executor).map_err(|(_, error)| error).unwrap();
    trainer.fit(&mut |_| ControlFlow::Continue(())).unwrap();
    report::gather(trainer, &config, data)
}

#[test]
fn a_report_on_rows_in_a_file_shows_what_one_on_rows_in_memory_shows() {
    let folder = Folder::new("report");
    let path = folder.path("t.npz");
    table(&path, "<f4", false, true);
    let [memory, stored] = [u64::MAX, 0].map(|from| evidence(&data::load_beyond(&options(&path), 7, from).unwrap()));
    assert_eq!(stored.importance.as_ref().unwrap().as_ref().unwrap().columns.len(), 5);
    let Ok(report::Answers::Classes { mistakes, .. }) = &stored.answers else { panic!("{:?}", stored.answers) };
    assert!(mistakes[0].columns.len() == 4 && mistakes[0].columns.iter().all(|(_, value)| !value.is_empty()));
    assert_eq!((stored.importance, stored.answers), (memory.importance, memory.answers));
}

fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let words = [magic].into_iter().chain(sizes.iter().copied());
    words.flat_map(u32::to_be_bytes).chain(body.iter().copied()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn images_in_files_are_what_they_are_in_memory() {
    let folder = Folder::new("images");
    let pixels: Vec<u8> = (0..500 * 12).map(|i| (i * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..500).map(|i| (i % 3) as u8).collect();
    let part = |count: usize| {
        let images = idx(0x0803, &[count as u32, 3, 4], &pixels[..count * 12]);
        (images, idx(0x0801, &[count as u32], &labels[..count]))
    };
    let (images, names) = part(500);
    fs::write(folder.path("train-images-idx3-ubyte"), &images).unwrap();
    fs::write(folder.path("train-labels-idx1-ubyte"), names).unwrap();
    let alone = same(&options(&folder.0));
    assert_eq!((alone.rows, alone.feature_columns(), alone.split.validation.len()), (500, 12, 75));
    let (test_images, test_names) = part(100);
    fs::write(folder.path("t10k-images-idx3-ubyte.gz"), gzip(&test_images)).unwrap();
    fs::write(folder.path("t10k-labels-idx1-ubyte.gz"), gzip(&test_names)).unwrap();
    let both = same(&options(&folder.0));
    assert_eq!((both.rows, both.split.test.len()), (600, 100));
    fs::write(folder.path("t10k-images-idx3-ubyte.gz"), gzip(&test_images[..50])).unwrap();
    assert!(same_error(&options(&folder.0)).contains("holds 34 bytes of images, its header promises 1200"));
    fs::remove_file(folder.path("t10k-images-idx3-ubyte.gz")).unwrap();
    assert!(same_error(&options(&folder.0)).contains("there are labels without images; put t10k-images"));
    let path = folder.path("i.npz");
    let mut archive = Archive::create(&path, true).unwrap();
    archive.add("x", "|u1", "(500, 3, 4)", |to| to.write_all(&pixels)).unwrap();
    archive.add("y", "|u1", "(500,)", |to| to.write_all(&labels)).unwrap();
    archive.finish().unwrap();
    assert_eq!(same(&options(&path)).outputs(), 3);
}

#[test]
fn damaged_archives_never_panic_and_are_refused_as_in_memory() {
    let folder = Folder::new("damaged");
    let path = folder.path("d.npz");
    for deflated in [false, true] {
        table(&path, "<f4", deflated, true);
        let whole = fs::read(&path).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut refused = 0;
        for round in 0..300 {
            let mut bytes = whole.clone();
            // The directory and headers every other time: chance finds the elements by itself.
            let at = random.next_u32() as usize % bytes.len();
            let at = if round % 2 == 0 { at } else { bytes.len() - 1 - at % 150 };
            bytes[at] ^= 1 << (random.next_u32() % 8);
            if round % 10 == 0 {
                bytes.truncate(at);
            }
            fs::write(&path, &bytes).unwrap();
            let (memory, stored) =
                (data::load_beyond(&options(&path), 7, u64::MAX), data::load_beyond(&options(&path), 7, 0));
            match (memory, stored) {
                (Ok(memory), Ok(stored)) => assert_eq!(stored.targets, memory.targets, "round {round}"),
                (Err(_), Err(error)) => {
                    assert_eq!(error.exit_code(), 3, "round {round}: {error}");
                    refused += 1;
                }
                (memory, stored) => panic!("round {round}: {:?} in memory, {:?} stored", memory.err(), stored.err()),
            }
        }
        assert!(refused > 100, "{refused} of 300 were refused");
    }
}
