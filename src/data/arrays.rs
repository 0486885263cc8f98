//! A data set from numbers that are in memory already: no file, no preprocessing. Knows no format.

use super::preprocessing::{Coding, ColumnCoding, Inputs, Preprocessing};
use super::split::Split;
use super::target::TargetCoding;
use super::{Dataset, Features};
use crate::config::{Missing, Task};
use crate::error::{Error, Result};

impl Dataset {
    /// Row-major `features` `[rows, columns]` and class numbers `targets` `[rows]` below `classes`; every row trains.
    ///
    /// # Errors
    /// Lengths that do not fit, or a class number out of range.
    pub fn of_classes(
        name: &str,
        features: Vec<f32>,
        columns: usize,
        targets: Vec<f32>,
        classes: usize,
    ) -> Result<Self> {
        let rows = targets.len();
        if rows == 0 || features.len() != rows * columns {
            return Err(Error::data(format!("{} features are not {rows} rows of {columns}", features.len())).at(name));
        }
        if let Some(row) = targets.iter().position(|&t| !(t >= 0.0 && t < classes as f32 && t.fract() == 0.0)) {
            return Err(Error::data(format!("row {row} has the class {}, there are {classes}", targets[row])).at(name));
        }
        let number = |i: usize| ColumnCoding {
            name: format!("x{i}"),
            coding: Coding::Number { mean: 0.0, deviation: 1.0, fill: 0.0 },
        };
        let preprocessing = Preprocessing {
            task: Task::Classification,
            missing: Missing::Error,
            inputs: Inputs::Columns((0..columns).map(number).collect()),
            targets: vec![TargetCoding { name: "y".into(), words: false, mean: 0.0, deviation: 1.0 }],
            classes: (0..classes).map(|class| class.to_string()).collect(),
        };
        Ok(Dataset {
            name: name.into(),
            rows,
            features: Features::F32 { values: features, columns },
            targets,
            split: Split { train: (0..rows as u32).collect(), ..Split::default() },
            task: Task::Classification,
            feature_names: preprocessing.feature_names(),
            target_names: vec!["y".into()],
            classes: preprocessing.classes.clone(),
            preprocessing,
            notes: Vec::new(),
            checksum: String::new(),
            source: name.into(),
        })
    }
}
