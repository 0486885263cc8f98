//! The way to a data set from Rust: a file or arrays, and what to make of them. Knows no format.

use std::path::Path;

use ndarray::{ArrayView2, ArrayView3};

use super::memory::{self, Arrays, Targets};
use super::{Dataset, prepare};
use crate::config::{self, Column, Missing, Target, Task};
use crate::error::Result;

/// Where rows come from and what is to be made of them, in the terms of a run file's `[data]`. What is not said is
/// inferred or has its default there: 70 % of the rows train, 15 % validate, 15 % test; numbers are standardised by the
/// training rows' mean and deviation.
///
/// ```
/// use ndarray::array;
/// use wgrad::Source;
///
/// let x = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
/// let data = Source::arrays(&x, &[false, true, true, false]).split([1.0, 0.0, 0.0]).load()?;
/// assert_eq!((data.rows, data.feature_columns(), data.outputs()), (4, 2, 1));
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Source<'a> {
    rows: Rows<'a>,
    columns: Option<Vec<String>>,
    options: config::Data,
    seed: u64,
}

#[derive(Debug, Clone)]
enum Rows<'a> {
    File,
    Table(ArrayView2<'a, f32>, Targets),
    Images(ArrayView3<'a, u8>, Targets),
}

impl<'a> Source<'a> {
    fn new(rows: Rows<'a>) -> Self {
        let defaults = config::Config::default();
        Source { rows, columns: None, options: defaults.data, seed: defaults.seed }
    }

    /// A `.csv` or `.tsv` (also `.gz`), an `.npz` with `x` and `y`, a folder of IDX files, or the built-in `digits`.
    pub fn file(path: impl AsRef<Path>) -> Self {
        let mut source = Source::new(Rows::File);
        source.options.source = Some(path.as_ref().to_string_lossy().into_owned());
        source
    }

    /// Features `[rows, columns]` and their targets: numbers for regression, integers, `bool`s or words for classes.
    /// A missing feature is NaN. The columns are named `x_0`, `x_1`, …, the target `y`, or `y_0`, `y_1`, ….
    pub fn arrays(x: impl Into<ArrayView2<'a, f32>>, y: impl Into<Targets>) -> Self {
        Source::new(Rows::Table(x.into(), y.into()))
    }

    /// Grey images `[rows, height, width]` and their targets. They stay bytes on the device too.
    pub fn images(x: impl Into<ArrayView3<'a, u8>>, y: impl Into<Targets>) -> Self {
        Source::new(Rows::Images(x.into(), y.into()))
    }

    /// Names the features of arrays, one each.
    pub fn columns(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The column to predict, by name or 0-based number; a table's last one if none is named.
    pub fn target(mut self, column: impl Into<String>) -> Self {
        self.options.target = Some(Target::One(Column::Name(column.into())));
        self
    }

    /// Several columns to predict.
    pub fn targets(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options.target = Some(Target::Many(names(columns)));
        self
    }

    /// The columns to predict from; all but the targets if none are named.
    pub fn features(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options.features = Some(names(columns));
        self
    }

    /// Columns to leave out.
    pub fn ignore(mut self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.options.ignore = names(columns);
        self
    }

    /// What the targets are, where it is not to be inferred.
    pub fn task(mut self, task: Task) -> Self {
        self.options.task = Some(task);
        self
    }

    /// Shares of training, validation and test rows, which sum to 1.
    pub fn split(mut self, shares: [f64; 3]) -> Self {
        self.options.split = shares;
        self
    }

    /// Whether features and targets of regression are brought to mean 0 and deviation 1.
    pub fn standardize(mut self, standardize: bool) -> Self {
        self.options.standardize = standardize;
        self
    }

    /// What happens to rows with missing values.
    pub fn missing(mut self, missing: Missing) -> Self {
        self.options.missing = missing;
        self
    }

    /// Of the split; 42 if it is not given.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Reads, splits, fits the preprocessing on the training rows, encodes.
    ///
    /// # Errors
    /// [`crate::Error::Data`] with the place in the file or array and what to do about it.
    pub fn load(self) -> Result<Dataset> {
        let Source { rows, columns, mut options, seed } = self;
        match rows {
            Rows::File => prepare::load(&options, seed),
            Rows::Table(x, y) => {
                options.task = options.task.or_else(|| options.target.is_none().then(|| y.task()));
                let mut all = columns.unwrap_or_else(|| (0..x.ncols()).map(|column| format!("x_{column}")).collect());
                all.extend(y.names());
                prepare::load_arrays(&Arrays::new(all, x, Some(y))?, &options, seed)
            }
            Rows::Images(x, y) => {
                options.task = options.task.or(Some(y.task()));
                prepare::load_images(memory::images(x, &y)?, &options, seed)
            }
        }
    }
}

fn names(columns: impl IntoIterator<Item = impl Into<String>>) -> Vec<Column> {
    columns.into_iter().map(|name| Column::Name(name.into())).collect()
}

impl Dataset {
    /// A file, a folder or a built-in with everything inferred: see [`Source::file`].
    ///
    /// # Errors
    /// [`crate::Error::Data`] with the place in the file and what to do about it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Source::file(path).load()
    }

    /// Rows in memory with everything inferred: see [`Source::arrays`].
    ///
    /// # Errors
    /// [`crate::Error::Data`] for arrays that do not fit each other, and numbers that are not finite.
    pub fn from_arrays<'a>(x: impl Into<ArrayView2<'a, f32>>, y: impl Into<Targets>) -> Result<Self> {
        Source::arrays(x, y).load()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3, array};

    use super::*;
    use crate::data::Features;

    fn x(rows: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, 2), |(row, column)| (row * (column + 1)) as f32)
    }

    #[test]
    fn arrays_become_what_a_file_with_the_same_numbers_becomes() {
        let x = x(40);
        let y = x.column(0).mapv(|value| 3.0 * value + 1.5);
        let from_arrays = Source::arrays(&x, &y).columns(["a", "b"]).seed(7).load().unwrap();
        let mut text = "a,b,y\n".to_owned();
        (0..40).for_each(|row| text += &format!("{},{},{}\n", x[[row, 0]], x[[row, 1]], y[row]));
        let file = std::env::temp_dir().join(format!("wgrad-arrays-{}.csv", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let from_file = Source::file(&file).seed(7).load().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(from_arrays.features, from_file.features);
        assert_eq!(from_arrays.targets, from_file.targets);
        assert_eq!(from_arrays.split, from_file.split);
        assert_eq!(from_arrays.preprocessing, from_file.preprocessing);
        assert_eq!(from_arrays.task, Task::Regression);
    }

    #[test]
    fn the_kind_of_targets_decides_the_task() {
        let x = x(6);
        let load = |y: Targets| Source::arrays(&x, y).split([1.0, 0.0, 0.0]).load().unwrap();
        let two = load((&[0_usize, 1, 0, 1, 0, 1]).into());
        assert_eq!((two.task, two.outputs()), (Task::Binary, 1));
        let three = load((&[7_i64, -1, 3, 7, 3, -1]).into());
        assert_eq!((three.task, three.classes), (Task::Classification, vec!["-1".to_owned(), "3".into(), "7".into()]));
        let words = load((&["no", "yes", "no", "yes", "no", "no"]).into());
        assert_eq!((words.task, words.classes), (Task::Binary, vec!["no".to_owned(), "yes".into()]));
        let several = load((&x).into());
        assert_eq!((several.task, several.target_names), (Task::Regression, vec!["y_0".to_owned(), "y_1".into()]));
    }

    #[test]
    fn images_stay_bytes() {
        let x = Array3::from_shape_fn((4, 2, 3), |(row, i, j)| (row * 6 + i * 3 + j) as u8);
        let data = Source::images(&x, &[0_u8, 1, 2, 0]).split([1.0, 0.0, 0.0]).load().unwrap();
        assert!(matches!(&data.features, Features::U8 { height: 2, width: 3, values, .. } if values.len() == 24));
        assert_eq!(data.outputs(), 3);
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_place() {
        let x = x(3);
        let failure = |x: &Array2<f32>, y: Targets| Source::arrays(x, y).load().unwrap_err().to_string();
        assert!(failure(&x, (&[0_usize, 1]).into()).starts_with("arrays: y is 2 rows of 1, x has 3 rows; "));
        let bad = array![[1.0, f32::INFINITY], [0.0, 1.0], [2.0, 2.0]];
        assert!(failure(&bad, (&[0_usize, 1, 1]).into()).starts_with("x[0, 1]: inf is not a finite number"));
        let missing = failure(&x, (&[1.0_f32, f32::NAN, 2.0]).into());
        assert!(missing.starts_with("y[1]: the target \"y\" is missing in this row"), "{missing}");
        let empty = Array2::zeros((0, 2));
        assert!(failure(&empty, (&[0.0_f32; 0]).into()).starts_with("arrays: x is empty"));
        assert!(Source::arrays(&x, &[0_usize, 1, 1]).columns(["a"]).load().is_err());
        let twice = Source::arrays(&x, &[0_usize, 1, 1]).columns(["x", "y"]).load().unwrap_err().to_string();
        assert!(twice.starts_with("arrays: two columns are named \"y\"; give each feature another name"), "{twice}");
        assert!(Source::arrays(&x, &x).columns(["y_1", "a"]).load().is_err());
        // The first is 2^53 and is exact, its neighbour would become it.
        let merged = failure(&x, (&[1_i64 << 53, (1 << 53) + 1, 1]).into());
        assert!(merged.starts_with("y[1]: class 9007199254740993 is beyond 2^53"), "{merged}");
        assert!(failure(&x, (&[0, usize::MAX, 1]).into()).starts_with("y[1]: class "));
    }
}
