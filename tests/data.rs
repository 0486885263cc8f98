//! Data sets from files: every format, plain and gzipped, real tables where they are at hand, and damaged ones.

#[path = "support/files.rs"]
mod files;

use std::fs;
use std::path::{Path, PathBuf};

use wgrad::config::{Column, Data, Missing, Target, Task};
use wgrad::data::{self, Coding, Dataset, Features, Inputs, Preprocessing};

use files::{gzip, idx, npy, npz};

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wgrad-data-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_string()
    }

    fn path(&self) -> String {
        self.0.to_str().unwrap().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(source: impl Into<String>) -> Data {
    Data { source: Some(source.into()), ..Data::default() }
}

fn all_rows(source: impl Into<String>) -> Data {
    Data { split: [1.0, 0.0, 0.0], ..options(source) }
}

fn name(text: &str) -> Column {
    Column::Name(text.into())
}

fn target(text: &str) -> Option<Target> {
    Some(Target::One(name(text)))
}

fn load(options: &Data) -> Dataset {
    data::load(options, 42).unwrap()
}

/// The error's sentence; it must be one of bad data and have a remedy.
fn failure(options: &Data) -> String {
    let error = data::load(options, 42).expect_err("must fail");
    assert_eq!(error.exit_code(), 3);
    assert!(error.fault().place.is_some() && error.fault().remedy.is_some(), "{error}");
    error.to_string()
}

fn floats(dataset: &Dataset) -> &[f32] {
    match &dataset.features {
        Features::F32 { values, .. } => values,
        Features::U8 { .. } => panic!("a table was expected"),
    }
}

fn shared(path: &str) -> Option<String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(path);
    path.exists().then(|| path.to_str().unwrap().to_string())
}

fn f32_bytes(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

#[test]
fn digits_are_there_without_a_file_and_scaled_by_one_mean_and_deviation() {
    let digits = load(&options("digits"));
    assert_eq!((digits.rows, digits.feature_columns(), digits.outputs()), (1797, 64, 10));
    assert_eq!(digits.task, Task::Classification);
    assert_eq!(digits.classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!((digits.split.train.len(), digits.split.validation.len(), digits.split.test.len()), (1258, 270, 269));
    let mut pixels = Vec::new();
    digits.split.train.iter().for_each(|&row| digits.features.extend_row(row as usize, &mut pixels));
    let mean = pixels.iter().map(|&x| f64::from(x)).sum::<f64>() / pixels.len() as f64;
    let square = pixels.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / pixels.len() as f64;
    assert!(mean.abs() < 1e-5 && (square - 1.0).abs() < 1e-5, "{mean} {square}");
    let Features::U8 { scale, shift, .. } = load(&Data { standardize: false, ..options("digits") }).features else {
        panic!("images")
    };
    assert_eq!((scale, shift), (1.0 / 16.0, 0.0));
    let again = digits.preprocessing.apply("digits", true).unwrap();
    assert_eq!((again.features, again.targets), (digits.features, Some(digits.targets)));
}

#[test]
fn titanic_is_binary_with_filled_ages_and_a_hint_at_the_leak() {
    let Some(path) = shared("titanic.csv") else { return };
    let titanic = load(&Data { target: target("survived"), ..options(&path) });
    assert_eq!((titanic.rows, titanic.task, titanic.outputs()), (891, Task::Binary, 1));
    assert_eq!(titanic.classes, ["0", "1"]);
    assert!(titanic.feature_names.iter().any(|name| name == "sex=female"));
    assert!(titanic.feature_names.iter().any(|name| name == "adult_male"), "true/false is one column");
    let notes = titanic.notes.join("\n");
    assert!(notes.contains("column \"age\": 177 of 891 values are missing"), "{notes}");
    assert!(notes.contains("column \"alive\" names the class in every row"), "{notes}");
    assert!(floats(&titanic).iter().all(|value| value.is_finite()));
    let again = titanic.preprocessing.apply(&path, true).unwrap();
    assert_eq!((again.features, again.targets), (titanic.features, Some(titanic.targets)));
    let dropped = load(&Data {
        missing: Missing::Drop,
        ignore: vec![name("deck")],
        target: target("survived"),
        ..options(&path)
    });
    assert_eq!(dropped.rows, 712, "as pandas' dropna on the same columns");
}

#[test]
fn boston_and_california_are_regressions_with_standardised_targets() {
    let Some(path) = shared("boston_housing.csv") else { return };
    let boston = load(&options(&path));
    assert_eq!((boston.rows, boston.task, boston.feature_columns()), (506, Task::Regression, 13));
    assert_eq!(boston.target_names, ["medv"]);
    assert!(
        boston
            .notes
            .iter()
            .any(|note| note
                == "target \"medv\": regression (229 distinct numbers); override with --task classification"),
        "{:?}",
        boston.notes
    );
    assert!((boston.preprocessing.unscale_target(0, f64::from(boston.targets[0])) - 24.0).abs() < 1e-5);
    let train = &boston.split.train;
    for column in 0..13 {
        let of = |row: &u32| f64::from(floats(&boston)[*row as usize * 13 + column]);
        let mean = train.iter().map(of).sum::<f64>() / train.len() as f64;
        let square = train.iter().map(|row| of(row).powi(2)).sum::<f64>() / train.len() as f64;
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "{column}: {mean} {square}");
    }
    let Some(path) = shared("california_housing.csv") else { return };
    let california = load(&Data { target: target("median_house_value"), ..options(&path) });
    assert_eq!((california.task, california.feature_columns()), (Task::Regression, 13));
    assert_eq!(california.feature_names[8], "ocean_proximity=<1H OCEAN");
    assert!(california.notes.join("\n").contains("\"total_bedrooms\": 207 of 20640 values are missing"));
}

#[test]
fn mnist_files_alone_are_split_and_a_pair_keeps_its_test_set() {
    let Some(folder) = shared("mnist") else { return };
    let mnist = load(&options(&folder));
    assert_eq!((mnist.rows, mnist.feature_columns(), mnist.outputs()), (10_000, 784, 10));
    assert_eq!((mnist.split.train.len(), mnist.split.test.len()), (7000, 1500));
    let both = Folder::new("mnist");
    for part in ["images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"] {
        let bytes = fs::read(Path::new(&folder).join(format!("t10k-{part}"))).unwrap();
        both.write(&format!("t10k-{part}"), &bytes);
        both.write(&format!("train-{part}"), &bytes);
    }
    let pair = load(&Data { split: [0.8, 0.2, 0.0], ..options(both.path()) });
    assert_eq!((pair.split.train.len(), pair.split.validation.len()), (8000, 2000));
    assert_eq!(pair.split.test, (10_000..20_000).collect::<Vec<_>>());
    let applied = pair.preprocessing.apply(&both.path(), true).unwrap();
    assert_eq!(applied.rows, 10_000);
    assert!(applied.warnings[0].contains("test images"));
}

#[test]
fn csv_and_tsv_plain_and_gzipped_are_one_table() {
    let folder = Folder::new("table");
    let csv = "\u{feff}a,b,y\r\n1,x,0.5\r\n2,\"z\",1.5\r\n4,x,2.5\r\n";
    let tsv = csv.replace(',', "\t");
    let sources = [
        folder.write("t.csv", csv),
        folder.write("t2.csv.gz", gzip(csv.as_bytes())),
        folder.write("t3.tsv", &tsv),
        folder.write("t4.tsv.gz", gzip(tsv.as_bytes())),
    ];
    let raw = Data { standardize: false, ..all_rows("") };
    for source in sources {
        let dataset = load(&Data { source: Some(source), ..raw.clone() });
        assert_eq!(floats(&dataset), [1., 1., 0., 2., 0., 1., 4., 1., 0.]);
        assert_eq!(dataset.feature_names, ["a", "b=x", "b=z"]);
        assert_eq!(dataset.targets, [0.5, 1.5, 2.5]);
        assert_eq!(dataset.split.train, [0, 1, 2]);
        assert!(dataset.name.starts_with('t') && !dataset.name.contains('.'), "{}", dataset.name);
    }
}

#[test]
fn columns_are_chosen_by_name_or_index_and_wrong_names_are_suggested() {
    let folder = Folder::new("columns");
    let path = folder.write("t.csv", "area,rooms,id,price\n1,2,7,0.5\n2,3,8,1.5\n3,5,9,2.5\n");
    let chosen = load(&Data {
        target: Some(Target::One(Column::Index(1))),
        ignore: vec![name("id")],
        task: Some(Task::Regression),
        ..all_rows(&path)
    });
    assert_eq!(
        (chosen.feature_names, chosen.target_names),
        (vec!["area".into(), "price".into()], vec!["rooms".into()])
    );
    let both = Some(Target::Many(vec![name("rooms"), name("price")]));
    let several = load(&Data { target: both, features: Some(vec![name("area")]), ..all_rows(&path) });
    assert_eq!((several.outputs(), several.target_columns(), several.targets.len()), (2, 2, 6));
    let wrong = failure(&Data { target: target("prise"), ..all_rows(&path) });
    assert!(wrong.contains("no column \"prise\" for the target; did you mean \"price\"?"), "{wrong}");
    assert!(wrong.ends_with("area, rooms, id, price"), "{wrong}");
    assert!(failure(&Data { features: Some(vec![name("rom")]), ..all_rows(&path) }).contains("for the feature"));
    assert!(failure(&Data { ignore: vec![Column::Index(9)], ..all_rows(&path) }).contains("no column 9"));
    assert!(
        failure(&Data { ignore: vec![name("price")], target: target("price"), ..all_rows(&path) }).contains("ignored")
    );
}

#[test]
fn missing_values_are_filled_dropped_or_refused() {
    let folder = Folder::new("missing");
    let path = folder.write("t.csv", "a,b,y\n1,x,0.5\n,x,1.5\n5,,2.5\n3,z,NA\n3,z,4.5\n");
    let whole = folder.write("w.csv", "a,b,y\n1,x,0.5\n,x,1.5\n5,,2.5\n3,z,4.5\n");
    let plain = |path: &String| Data { standardize: false, ..all_rows(path) };
    let absent = failure(&plain(&path));
    assert!(
        absent.contains("t.csv:5:5: the target \"y\" is missing") && absent.contains("data.missing=drop"),
        "{absent}"
    );
    let dropped = load(&Data { missing: Missing::Drop, ..plain(&path) });
    assert_eq!((dropped.rows, floats(&dropped)), (2, &[1., 1., 0., 3., 0., 1.][..]));
    let filled = load(&plain(&whole));
    assert_eq!(floats(&filled), [1., 1., 0., 3., 1., 0., 5., 1., 0., 3., 0., 1.]);
    assert!(filled.notes.join("\n").contains("\"b\": 1 of 4 values are missing and filled"));
    let refused = failure(&Data { missing: Missing::Error, ..plain(&whole) });
    assert!(refused.contains("w.csv:3:1: the value of \"a\" is missing") && refused.contains("impute"), "{refused}");
}

#[test]
fn only_training_rows_decide_what_fills_and_scales() {
    let folder = Folder::new("fit");
    let mut text = String::from("a,y\n");
    (0..40).for_each(|row| {
        text.push_str(&format!("{},{row}.5\n", if row % 5 == 0 { String::new() } else { row.to_string() }))
    });
    let dataset = load(&options(folder.write("t.csv", text)));
    let train: Vec<f64> = dataset.split.train.iter().filter(|row| *row % 5 != 0).map(|&row| f64::from(row)).collect();
    let expected = train.iter().sum::<f64>() / train.len() as f64;
    let Inputs::Columns(columns) = &dataset.preprocessing.inputs else { panic!("columns") };
    let Coding::Number { mean, fill, .. } = columns[0].coding else { panic!("a number") };
    assert!((mean - expected).abs() < 1e-12 && (fill - expected).abs() < 1e-12);
}

#[test]
fn columns_that_carry_nothing_are_left_out_unless_listed() {
    let folder = Folder::new("useless");
    let mut text = String::from(",name,same,empty,a,y\n");
    (0..30).for_each(|row| text.push_str(&format!("{row},Person {row},7,,{},{row}.25\n", row * row)));
    let path = folder.write("t.csv", text);
    let dataset = load(&options(&path));
    assert_eq!(dataset.feature_names, ["a"]);
    let notes = dataset.notes.join("\n");
    for part in ["\"unnamed_0\"", "\"name\" is left out: it is text with 30 different words", "\"same\"", "\"empty\""] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    let listed = load(&Data { features: Some(vec![name("name"), name("same")]), ..options(&path) });
    assert_eq!(listed.feature_columns(), listed.split.train.len() + 1);
}

#[test]
fn further_data_is_encoded_as_in_training_and_told_about() {
    let folder = Folder::new("apply");
    let path = folder.write("t.csv", "a,b,y\n1,x,no\n3,z,yes\n5,x,no\n");
    let dataset = load(&all_rows(&path));
    assert_eq!((dataset.task, dataset.classes.clone()), (Task::Binary, vec!["no".into(), "yes".into()]));
    let json = serde_json::to_string(&dataset.preprocessing).unwrap();
    let preprocessing: Preprocessing = serde_json::from_str(&json).unwrap();
    assert_eq!(preprocessing, dataset.preprocessing);
    let more = folder.write("m.csv", "b,extra,a\nq,9,3\n,9,\n");
    let encoded = preprocessing.apply(&more, false).unwrap();
    let Features::F32 { values, columns: 3 } = encoded.features else { panic!("three columns") };
    assert_eq!(values, [0., 0., 0., 0., 1., 0.]);
    assert_eq!((encoded.rows, encoded.targets), (2, None));
    let warnings = encoded.warnings.join("\n");
    assert!(
        warnings.contains("column \"b\": 1 of 2 rows have words that training did not see, such as \"q\""),
        "{warnings}"
    );
    assert!(warnings.contains("column \"a\": 1 of 2 values are missing"), "{warnings}");
    let failed = |name: &str, text: &str, need: bool| {
        preprocessing.apply(&folder.write(name, text), need).unwrap_err().to_string()
    };
    assert!(failed("n.csv", "a,c\n1,x\n", false).contains("no column \"b\" for the model"));
    assert!(failed("o.csv", "a,b\n1,x\n", true).contains("no column \"y\" for the target"));
    let unknown = failed("p.csv", "a,b,y\n1,x,maybe\n", true);
    assert!(unknown.contains("p.csv:2:5: \"maybe\"") && unknown.contains("the classes are no, yes"), "{unknown}");
    assert!(failed("q.csv", "a,b\nten,x\n", false).contains("q.csv:2:1: \"ten\" in column \"a\" is not a number"));
    assert!(preprocessing.apply("digits", false).unwrap_err().to_string().contains("trained on a table"));
}

#[test]
fn images_may_come_as_a_table_of_pixels() {
    let digits = load(&all_rows("digits"));
    let Features::U8 { values, .. } = &digits.features else { panic!("images") };
    let mut text: String = (0..64).map(|pixel| format!("pixel_{pixel},")).collect();
    text.push_str("digit\n");
    for (row, image) in values.chunks(64).take(5).enumerate() {
        image.iter().for_each(|value| text.push_str(&format!("{value},")));
        text.push_str(&format!("{row}\n"));
    }
    let folder = Folder::new("pixels");
    let encoded = digits.preprocessing.apply(&folder.write("p.csv", &text), true).unwrap();
    assert_eq!(encoded.targets, Some(vec![0., 1., 2., 3., 4.]));
    let Features::U8 { values: again, .. } = &encoded.features else { panic!("images") };
    assert_eq!(again[..], values[..5 * 64]);
    let bad = folder.write("b.csv", text.replace("\n0,0,5", "\n0,0.5,5"));
    let error = digits.preprocessing.apply(&bad, true).unwrap_err().to_string();
    assert!(error.contains("b.csv:2:3: this cell is no grey level; give whole numbers"), "{error}");
}

#[test]
fn idx_folders_are_read_plain_gzipped_and_under_both_spellings() {
    let images = idx(0x0803, &[4, 1, 2], &[0, 255, 10, 20, 30, 40, 50, 60]);
    let labels = idx(0x0801, &[4], &[7, 3, 3, 7]);
    for (number, (image_name, label_name, packed)) in [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", false),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", false),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", true),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = Folder::new(&format!("idx{number}"));
        let bytes = |plain: &Vec<u8>| if packed { gzip(plain) } else { plain.clone() };
        folder.write(image_name, bytes(&images));
        let alone = failure(&all_rows(folder.path()));
        assert!(alone.contains("images without labels"), "{alone}");
        folder.write(label_name, bytes(&labels));
        let dataset = load(&Data { standardize: false, ..all_rows(folder.path()) });
        assert_eq!((dataset.classes, dataset.targets), (vec!["3".into(), "7".into()], vec![1., 0., 0., 1.]));
        let Features::U8 { values, scale, height: 1, width: 2, .. } = dataset.features else { panic!("1×2") };
        assert_eq!((values, scale), (vec![0, 255, 10, 20, 30, 40, 50, 60], 1.0 / 255.0));
        folder.write(label_name, bytes(&idx(0x0801, &[3], &[7, 3, 3])));
        assert!(failure(&all_rows(folder.path())).contains("3 labels for 4 images"));
    }
    let pair = Folder::new("idx-pair");
    pair.write("train-images-idx3-ubyte", &images);
    pair.write("train-labels-idx1-ubyte", &labels);
    pair.write("t10k-images-idx3-ubyte", idx(0x0803, &[1, 1, 2], &[200, 201]));
    assert!(failure(&options(pair.path())).contains("images without labels"));
    pair.write("t10k-labels-idx1-ubyte", idx(0x0801, &[1], &[3]));
    let dataset = load(&Data { split: [0.6, 0.2, 0.2], ..options(pair.path()) });
    assert_eq!((dataset.split.train.len(), dataset.split.validation.len()), (3, 1));
    assert_eq!((dataset.split.test, dataset.targets[4]), (vec![4], 0.));
    pair.write("t10k-images-idx3-ubyte", idx(0x0803, &[1, 2, 1], &[200, 201]));
    assert!(failure(&options(pair.path())).contains("2×1, those of the training files 1×2"));
    let empty = Folder::new("idx-empty");
    assert!(failure(&all_rows(empty.path())).contains("holds no IDX images"));
}

#[test]
fn npz_archives_hold_tables_images_classes_and_several_targets() {
    let folder = Folder::new("npz");
    let x = npy("<f4", "(4, 2)", &f32_bytes([1., 2., 3., f32::NAN, 5., 6., 7., 9.]));
    let y = npy("<f4", "(4, 2)", &f32_bytes([0., 1., 2., 3., 4., 5., 6., 7.]));
    for deflated in [false, true] {
        let path = folder.write("t.npz", npz(&[("x.npy", x.clone()), ("y.npy", y.clone())], deflated));
        let dataset = load(&Data { standardize: false, ..all_rows(&path) });
        assert_eq!((dataset.task, dataset.outputs()), (Task::Regression, 2));
        assert_eq!(dataset.target_names, ["y_0", "y_1"]);
        assert_eq!(dataset.targets, [0., 1., 2., 3., 4., 5., 6., 7.]);
        assert_eq!(floats(&dataset)[3], (2. + 6. + 9.) / 3.);
        let again = dataset.preprocessing.apply(&path, true).unwrap();
        assert_eq!((again.features, again.targets), (dataset.features, Some(dataset.targets)));
    }
    let classes: Vec<u8> = [2_i64, 0, 2, 0].into_iter().flat_map(i64::to_le_bytes).collect();
    let images = npy("|u1", "(4, 2, 1)", &[1, 2, 3, 4, 5, 6, 7, 8]);
    let path = folder.write("i.npz", npz(&[("x.npy", images), ("y.npy", npy("<i8", "(4,)", &classes))], true));
    let dataset = load(&all_rows(&path));
    assert_eq!((dataset.task, dataset.classes), (Task::Binary, vec!["0".into(), "2".into()]));
    assert!(matches!(dataset.features, Features::U8 { height: 2, width: 1, .. }));
}

#[test]
fn bad_npz_archives_say_what_is_wrong() {
    let folder = Folder::new("bad-npz");
    let x = || npy("<f4", "(2, 1)", &f32_bytes([1., f32::INFINITY]));
    let y = npy("<f4", "(3,)", &f32_bytes([1., 2., 3.]));
    let failed = |members: &[(&str, Vec<u8>)]| failure(&all_rows(folder.write("t.npz", npz(members, false))));
    assert!(failed(&[("y.npy", y.clone())]).contains("has no array `x`"));
    assert!(failed(&[("x.npy", x()), ("y.npy", y)]).contains("t.npz: y: has 3 rows, x has 2"));
    let two = npy("<f4", "(2,)", &f32_bytes([1., 2.]));
    assert!(failed(&[("x.npy", x()), ("y.npy", two)]).contains("t.npz: x[1, 0]: inf is not a finite number"));
    assert!(failed(&[("x.npy", x())]).contains("has no array `y`"));
    assert!(failure(&all_rows(folder.write("n.npz", "nothing"))).contains("no sound .npz file"));
    let mut broken =
        npz(&[("x.npy", npy("<f4", "(1,)", &f32_bytes([1.]))), ("y.npy", npy("<f4", "(1,)", &f32_bytes([1.])))], false);
    let at = broken.windows(4).position(|bytes| bytes == [0, 0, 128, 63]).unwrap();
    broken[at] = 1;
    assert!(failure(&all_rows(folder.write("c.npz", broken))).contains("does not match its checksum"));
}

#[test]
fn one_seed_gives_one_data_set_and_the_checksum_is_of_the_file() {
    let folder = Folder::new("seed");
    let text: String = (0..60).map(|row| format!("{row},{}\n", row % 3)).collect();
    let path = folder.write("t.csv", format!("a,y\n{text}"));
    let (one, two) = (load(&options(&path)), load(&options(&path)));
    assert_eq!((&one.split, floats(&one), &one.checksum), (&two.split, floats(&two), &two.checksum));
    assert_ne!(one.split, data::load(&options(&path), 43).unwrap().split);
    assert_eq!(one.task, Task::Classification);
    for set in [&one.split.train, &one.split.validation, &one.split.test] {
        let of = |class: f32| set.iter().filter(|&&row| one.targets[row as usize] == class).count();
        assert_eq!((of(0.), of(1.)), (of(2.), of(2.)), "each class is shared out alike");
    }
    assert_eq!(one.checksum.len(), 64);
    folder.write("t.csv", format!("a,y\n{text}\n"));
    assert_ne!(load(&options(&path)).checksum, one.checksum);
}

/// Whether each row is in the test set of exactly one fold.
fn tested_once(folds: &[Dataset]) -> bool {
    let mut tested: Vec<u32> = folds.iter().flat_map(|fold| fold.split.test.iter().copied()).collect();
    tested.sort_unstable();
    tested == (0..folds[0].rows as u32).collect::<Vec<_>>()
}

/// Forty rows; the cells of row `odd` are far from all others, and one of its words is nowhere else.
fn with_an_odd_row(odd: usize) -> String {
    let mut text = "a,word,y\n".to_owned();
    for row in 0..40 {
        let (a, word, y) = match row {
            row if row == odd => (1e6, "odd", 1e7),
            row => (f64::from(row as u32 % 9), ["one", "two"][row % 2], f64::from(row as u32 * 7 % 40) + 0.5),
        };
        text += &format!("{a},{word},{y}\n");
    }
    text
}

#[test]
fn what_a_fold_fits_knows_nothing_of_the_rows_that_it_tests() {
    let folder = Folder::new("folds");
    let fold = |odd: usize, number: usize| {
        let options = options(folder.write("table.csv", with_an_odd_row(odd)));
        data::load_fold(&options, 42, data::Fold { number, of: 5 }).unwrap()
    };
    let nowhere = usize::MAX;
    let folds: Vec<Dataset> = (0..5).map(|number| fold(nowhere, number)).collect();
    assert!(tested_once(&folds));
    let mut planted = folds.clone();
    let twice = planted[0].split.test[0];
    planted[1].split.test.push(twice);
    assert!(!tested_once(&planted), "a row that is tested twice is noticed");
    planted[1] = planted[0].clone();
    assert!(!tested_once(&planted), "rows that are not tested are noticed");
    for (number, usual) in folds.iter().enumerate() {
        // A fold is the same whatever the values are, and so are means, deviations and categories, whatever the rows
        // that it tests or validates hold.
        for set in [&usual.split.test, &usual.split.validation] {
            let odd = fold(set[0] as usize, number);
            assert_eq!(odd.split, usual.split);
            assert_eq!(odd.preprocessing, usual.preprocessing, "fold {number} leaks");
        }
        // The same comparison does notice a row that is fitted on.
        let odd = fold(usual.split.train[0] as usize, number);
        assert_ne!(odd.preprocessing, usual.preprocessing);
    }
}
