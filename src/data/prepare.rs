//! From what a reader delivers to a data set: choose columns, deal with missing values, infer the task, split, fit,
//! encode. Knows no format.

use super::frame::{self, Frame};
use super::images::Images;
use super::preprocessing::{self, ColumnCoding, Fit, ImageCoding, Inputs, Preprocessing};
use super::source::{self, Content};
use super::split::{self, Fold, Split};
use super::table::{Column, Tabular, Values};
use super::target::{self, Decision, TargetCoding};
use super::{Dataset, Features, Rows, Stored, idx, large, stored};
use crate::config::{self, Task};
use crate::error::{Error, Result};

/// Notes on single columns that are worth reading.
const MOST_COLUMN_NOTES: usize = 20;

/// Bytes from which on arrays and images stay in their files, and the memory holds no more than a window of them.
pub const STORED_FROM: u64 = 256 << 20;

/// Loads, splits, fits the preprocessing on the training rows, encodes.
///
/// # Errors
/// [`Error::Data`] with the place in the file and what to do about it.
pub fn load(options: &config::Data, seed: u64) -> Result<Dataset> {
    load_beyond(options, seed, STORED_FROM)
}

/// As [`load`], with another limit in place of [`STORED_FROM`]. The result is the same, wherever the rows are.
///
/// # Errors
/// As [`load`]; [`Error::Output`] where there is no room to unpack a file to.
pub fn load_beyond(options: &config::Data, seed: u64, from: u64) -> Result<Dataset> {
    load_split(Wanted { options, seed, fold: None }, from)
}

/// As [`load`], but the test set is one fold of a k-fold cross-validation, and the other rows are dealt to training and
/// validation by the first two shares. Whatever is fitted is fitted on this fold's training rows alone.
///
/// # Errors
/// As [`load`]; [`Error::Usage`] if there are more folds than rows, or if no class has as many rows as folds.
pub fn load_fold(options: &config::Data, seed: u64, fold: Fold) -> Result<Dataset> {
    load_split(Wanted { options, seed, fold: Some(fold) }, STORED_FROM)
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub options: &'a config::Data,
    pub seed: u64,
    /// None: the sets are the shares of `options`.
    pub fold: Option<Fold>,
}

fn load_split(wanted: Wanted<'_>, from: u64) -> Result<Dataset> {
    let options = wanted.options;
    let Some(source) = options.source.as_deref() else {
        return Err(Error::data("no data is named").at("data.source").remedy("name a file, a folder or `digits`"));
    };
    if source == "-" {
        return Err(Error::data("training cannot be repeated from standard input").at("-").remedy("save it to a file"));
    }
    split::check(options.split)?;
    let raw = source::open(source, from)?;
    let head = Head { name: raw.name, source: raw.source, checksum: raw.checksum };
    match raw.content {
        Content::Table(table) => match table.stored() {
            Some(arrays) => large::from_arrays(arrays, head, wanted),
            None => from_table(&*table, head, wanted),
        },
        Content::Images(images) => from_images(images, head, wanted),
    }
}

/// As [`load`], from arrays in memory.
pub(super) fn load_arrays(arrays: &dyn Tabular, options: &config::Data, seed: u64) -> Result<Dataset> {
    split::check(options.split)?;
    from_table(arrays, Head::of_arrays(), Wanted { options, seed, fold: None })
}

/// As [`load`], from images in memory.
pub(super) fn load_images(images: Images, options: &config::Data, seed: u64) -> Result<Dataset> {
    split::check(options.split)?;
    from_images(images, Head::of_arrays(), Wanted { options, seed, fold: None })
}

/// What a data set takes over from its source.
pub(super) struct Head {
    pub name: String,
    pub source: String,
    pub checksum: String,
}

impl Head {
    /// Arrays have no name of their own, and nothing that could be hashed.
    fn of_arrays() -> Self {
        Head { name: "arrays".into(), source: "arrays".into(), checksum: String::new() }
    }
}

/// The sentence for more rows than a row number can count.
pub(super) fn too_many_rows(rows: usize, place: &str) -> Error {
    Error::data(format!("{rows} rows are too many")).at(place).remedy("split the file")
}

fn from_table(table: &dyn Tabular, head: Head, wanted: Wanted<'_>) -> Result<Dataset> {
    let options = wanted.options;
    if u32::try_from(table.rows()).is_err() {
        return Err(too_many_rows(table.rows(), table.file()));
    }
    let mut notes = table.notes();
    let mut frame = frame::read_frame(table, options, &mut notes)?;
    frame::settle_missing(&mut frame, options.missing, &mut notes)?;
    if frame.rows() == 1 {
        return Err(Error::data("there is one row only")
            .at(table.file())
            .remedy("add rows, to train on and to test with"));
    }
    let place = |row: usize, number: usize| frame.place_of_target(row, number);
    let decision = target::decide(&frame.targets, options.task, table.file(), &place, &mut notes)?;
    let split = split_rows(frame.rows(), &frame.targets, &decision, None, wanted, &place, &mut notes)?;
    hint_at_leaks(&frame, &decision, &mut notes);
    let codings = fit_columns(&mut frame, &split.train, options, &mut notes)?;
    let place = |row: usize, number: usize| frame.place(row, frame.selection.features[number]);
    let (values, repairs) = preprocessing::encode(&codings, &frame.features, frame.rows(), &place)?;
    for (coding, repair) in codings.iter().zip(&repairs) {
        note_repair(coding, repair, frame.rows(), &mut notes);
    }
    let columns = codings.iter().map(|column| column.coding.width()).sum();
    let features = Features::F32 { values, columns };
    let place = |row: usize, number: usize| frame.place_of_target(row, number);
    let ready = Ready { head, features, inputs: Inputs::Columns(codings), rows: frame.rows(), split, decision, notes };
    finish(ready, &frame.targets, options, &place)
}

fn from_images(images: Images, head: Head, wanted: Wanted<'_>) -> Result<Dataset> {
    let options = wanted.options;
    let rows = images.rows();
    if let Some(what) = [
        options.target.as_ref().map(|_| "target"),
        options.features.as_ref().map(|_| "features"),
        options.ignore.first().map(|_| "ignore"),
    ]
    .into_iter()
    .flatten()
    .next()
    {
        return Err(Error::data(format!("images have no columns to choose from, but `{what}` is given"))
            .at(&images.place)
            .remedy(format!("leave `{what}` out")));
    }
    if images.targets.is_empty() {
        return Err(idx::no_labels(&images.place));
    }
    images.check_labels()?;
    if u32::try_from(rows).is_err() {
        return Err(Error::data(format!("{rows} images are too many")).at(&images.place).remedy("split the files"));
    }
    let mut notes = Vec::new();
    let file = images.place.clone();
    let place = |row: usize, _: usize| format!("{file}: label {row}");
    let decision = target::decide(&images.targets, options.task, &file, &place, &mut notes)?;
    let split = split_rows(rows, &images.targets, &decision, images.test_from, wanted, &place, &mut notes)?;
    let coding = fit_image(&images, &split.train, options.standardize)?;
    let (columns, scale, shift) = (images.pixels(), coding.scale, coding.shift);
    let features = if images.stored.is_empty() {
        let Images { height, width, values, .. } = images;
        Features::U8 { columns, scale, shift, height, width, values }
    } else {
        let bytes = stored::Content::Bytes { columns, scale, shift };
        Features::Stored(Stored::new(images.stored, None, bytes))
    };
    let ready = Ready { head, features, inputs: Inputs::Image(coding), rows, split, decision, notes };
    finish(ready, &images.targets, options, &place)
}

/// All but the targets.
pub(super) struct Ready {
    pub head: Head,
    pub features: Features,
    pub inputs: Inputs,
    pub rows: usize,
    pub split: Split,
    pub decision: Decision,
    pub notes: Vec<String>,
}

pub(super) fn finish(
    ready: Ready,
    targets: &[Column],
    options: &config::Data,
    place: target::Place<'_>,
) -> Result<Dataset> {
    let Ready { head, features, inputs, rows, split, decision, mut notes } = ready;
    shorten(&mut notes);
    let Decision { task, classes } = decision;
    let codings: Vec<TargetCoding> = targets
        .iter()
        .map(|column| {
            let words = matches!(column.values, Values::Text { .. });
            let (mean, deviation) = match &column.values {
                Values::Number(values) if task == Task::Regression && options.standardize => {
                    let values = split.train.iter().map(|&row| values[row as usize]);
                    preprocessing::moments(values, split.train.len(), split.train.len())
                }
                _ => (0.0, 1.0),
            };
            TargetCoding { name: column.name.clone(), words, mean, deviation }
        })
        .collect();
    let encoded = if task == Task::Regression {
        preprocessing::encode_targets(targets, &codings, place)?
    } else {
        target::encode_classes(&targets[0], &classes, place)?.into_iter().map(|class| class as f32).collect()
    };
    let preprocessing =
        Preprocessing { task, missing: options.missing, inputs, targets: codings, classes: classes.clone() };
    Ok(Dataset {
        name: head.name,
        rows,
        features,
        targets: encoded,
        split,
        task,
        feature_names: preprocessing.feature_names(),
        target_names: targets.iter().map(|column| column.name.clone()).collect(),
        classes,
        preprocessing,
        notes,
        checksum: head.checksum,
        source: head.source,
    })
}

pub(super) fn split_rows(
    rows: usize,
    targets: &[Column],
    decision: &Decision,
    test_from: Option<usize>,
    Wanted { options, seed, fold }: Wanted<'_>,
    place: target::Place<'_>,
    notes: &mut Vec<String>,
) -> Result<Split> {
    let classes = match decision.task {
        Task::Regression => None,
        _ => Some(target::encode_classes(&targets[0], &decision.classes, place)?),
    };
    let split = match fold {
        None => split::split(rows, options.split, classes.as_deref(), test_from, seed)?,
        Some(fold) => {
            if let Some(classes) = &classes {
                check_folds(&decision.classes, &classes[..test_from.unwrap_or(rows)], fold, notes)?;
            }
            split::fold(rows, options.split, classes.as_deref(), test_from, fold, seed)?
        }
    };
    for (set, name, share) in
        [(&split.validation, "validation", options.split[1]), (&split.test, "test", options.split[2])]
    {
        if set.is_empty() && share > 0.0 {
            notes.push(format!("{rows} rows are too few for a {name} set; override with a larger share in `split`"));
        }
    }
    if let Some(classes) = classes {
        let count = |rows: &mut dyn Iterator<Item = u32>| {
            let mut counts = vec![0_usize; decision.classes.len()];
            rows.for_each(|row| counts[classes[row as usize] as usize] += 1);
            counts
        };
        let (all, trained) = (count(&mut (0..rows as u32)), count(&mut split.train.iter().copied()));
        for ((class, all), trained) in decision.classes.iter().zip(all).zip(trained) {
            if all == 1 {
                notes.push(format!("class \"{class}\" has one row only; override by adding rows of it"));
            } else if trained == 0 {
                notes.push(format!("class \"{class}\" has no training row; override with a larger training share"));
            }
        }
    }
    Ok(split)
}

/// As scikit-learn's StratifiedKFold: a class with fewer rows than folds is told about; it is an error only if no class
/// has as many rows as folds.
fn check_folds(names: &[String], classes: &[u32], fold: Fold, notes: &mut Vec<String>) -> Result<()> {
    let mut counts = vec![0; names.len()];
    classes.iter().for_each(|&class| counts[class as usize] += 1);
    let most = counts.iter().copied().max().unwrap_or(0);
    if most < fold.of {
        return Err(Error::usage(format!("no class has as many rows as there are folds, {}", fold.of))
            .at("--folds")
            .remedy(format!("give at most {most}")));
    }
    for (name, count) in names.iter().zip(counts).filter(|(_, count)| *count < fold.of) {
        notes.push(format!(
            "class \"{name}\" has {count} row{}, fewer than the {} folds, so some folds test none of it; override with \
             smaller --folds",
            if count == 1 { "" } else { "s" },
            fold.of
        ));
    }
    Ok(())
}

/// A feature that names the class is often the target under another name.
fn hint_at_leaks(frame: &Frame<'_>, decision: &Decision, notes: &mut Vec<String>) {
    let [target] = &frame.targets[..] else { return };
    if decision.classes.is_empty() || frame.rows() < 20 {
        return;
    }
    let code = |values: &Values, row: usize| match values {
        Values::Number(values) => values[row].to_bits(),
        Values::Text { codes, .. } => u64::from(codes[row]),
    };
    for column in &frame.features {
        let (mut forth, mut back) = (std::collections::HashMap::new(), std::collections::HashMap::new());
        let one_to_one = (0..frame.rows()).all(|row| {
            let (feature, class) = (code(&column.values, row), code(&target.values, row));
            *forth.entry(feature).or_insert(class) == class && *back.entry(class).or_insert(feature) == feature
        });
        if one_to_one {
            notes.push(format!(
                "column \"{0}\" names the class in every row; if it is \"{1}\" in other words, leave it out with --set \
                 'data.ignore=[\"{0}\"]'",
                column.name, target.name
            ));
        }
    }
}

/// Fits each column and takes the useless ones out of the frame, unless the user listed them.
fn fit_columns(
    frame: &mut Frame<'_>,
    train: &[u32],
    options: &config::Data,
    notes: &mut Vec<String>,
) -> Result<Vec<ColumnCoding>> {
    let (mut codings, mut features, mut used) = (Vec::new(), Vec::new(), Vec::new());
    let selected = std::mem::take(&mut frame.selection.features);
    for (column, index) in std::mem::take(&mut frame.features).into_iter().zip(selected) {
        let coding = match preprocessing::fit(&column.values, train, options.standardize) {
            Fit::Coding(coding) => coding,
            Fit::Useless(_) if frame.selection.listed || !frame.table.drops_constants() => {
                preprocessing::fit_useless(&column.values, train, options.standardize)
            }
            Fit::Useless(why) => {
                notes.push(frame::left_out(&column.name, &why));
                continue;
            }
        };
        codings.push(ColumnCoding { name: column.name.clone(), coding });
        features.push(column);
        used.push(index);
    }
    (frame.features, frame.selection.features) = (features, used);
    if codings.is_empty() {
        return Err(frame::nothing_left(frame.table.file()));
    }
    Ok(codings)
}

/// Keeps the first notes on columns: nobody reads ten thousand.
fn shorten(notes: &mut Vec<String>) {
    let is_on_column = |note: &String| note.starts_with("column \"");
    let count = notes.iter().filter(|note| is_on_column(note)).count();
    if count <= MOST_COLUMN_NOTES {
        return;
    }
    let mut left = MOST_COLUMN_NOTES;
    notes.retain(|note| {
        let kept = !is_on_column(note) || left > 0;
        left = left.saturating_sub(usize::from(is_on_column(note)));
        kept
    });
    notes.push(format!("{} more notes like these on other columns", count - MOST_COLUMN_NOTES));
}

pub(super) fn note_repair(
    coding: &ColumnCoding,
    repair: &preprocessing::Repairs,
    rows: usize,
    notes: &mut Vec<String>,
) {
    if repair.missing > 0 {
        let with = match &coding.coding {
            preprocessing::Coding::Number { fill, .. } => format!("the training rows' mean, {fill:.6}"),
            preprocessing::Coding::Text { fill, .. } => format!("the training rows' most frequent, \"{fill}\""),
        };
        notes.push(format!(
            "column \"{}\": {} of {rows} values are missing and filled with {with}; override with --set data.missing=drop",
            coding.name, repair.missing
        ));
    }
    if repair.unseen > 0 {
        notes.push(format!(
            "column \"{}\": {} rows outside the training set have words that it lacks, such as \"{}\", and count as \
             none of its categories; override with another --seed or split",
            coding.name, repair.unseen, repair.example
        ));
    }
}

/// One mean and one deviation over all pixels of the training rows, exactly, from how often each grey level occurs.
fn fit_image(images: &Images, train: &[u32], standardize: bool) -> Result<ImageCoding> {
    let pixels = images.pixels();
    let mut counts = [0_u64; 256];
    let mut count = |bytes: &[u8]| bytes.iter().for_each(|&value| counts[usize::from(value)] += 1);
    if images.stored.is_empty() {
        train.iter().for_each(|&row| count(&images.values[row as usize * pixels..][..pixels]));
    } else {
        let bytes = stored::Content::Bytes { columns: pixels, scale: 1.0, shift: 0.0 };
        let stored = Stored::new(images.stored.clone(), None, bytes);
        let mut piece = Rows::default();
        for rows in train.chunks(1 + (4 << 20) / pixels) {
            stored.copy(rows, &mut piece)?;
            if let Rows::U8(bytes) = &piece {
                count(bytes);
            }
        }
    }
    let total = (train.len() * pixels) as f64;
    let weighted = |of: &dyn Fn(f64) -> f64| -> f64 {
        counts.iter().enumerate().map(|(value, &count)| of(value as f64) * count as f64).sum::<f64>() / total
    };
    let mean = weighted(&|value| value);
    let deviation = weighted(&|value| (value - mean).powi(2)).sqrt();
    let deviation = if deviation > 0.0 { deviation } else { 1.0 };
    let (mean, deviation) = if standardize { (mean, deviation) } else { (0.0, f64::from(images.brightest)) };
    Ok(ImageCoding {
        height: images.height,
        width: images.width,
        mean,
        deviation,
        scale: (1.0 / deviation) as f32,
        shift: (-mean / deviation) as f32,
    })
}
