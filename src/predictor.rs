//! A finished model on an opened device: predictions and metrics of further rows, from arrays or files. Prints nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::ArrayView2;

use crate::data::{Dataset, Targets};
use crate::device::{Chosen, Device};
use crate::error::{Error, Result};
use crate::plan::DeviceInfo;
use crate::train::Evaluation;
use crate::trained::{Predictions, TrainedModel};

/// A [`TrainedModel`] on a device.
///
/// ```no_run
/// use wgrad::{Device, TrainedModel};
///
/// let predictor = TrainedModel::load("runs/first")?.on(&Device::Auto)?;
/// let predictions = predictor.predict_file("new.csv")?;
/// println!("{:?}: {:?}", predictions.columns, predictions.values);
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Predictor {
    model: TrainedModel,
    device: Chosen,
}

impl TrainedModel {
    /// Puts it on a device.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no such device.
    pub fn on(self, device: &Device) -> Result<Predictor> {
        Ok(Predictor { model: self, device: device.open()? })
    }
}

impl Predictor {
    pub(crate) fn new(model: TrainedModel, device: Chosen) -> Self {
        Predictor { model, device }
    }

    /// Network, weights and preprocessing.
    pub fn model(&self) -> &TrainedModel {
        &self.model
    }

    /// Where it runs.
    pub fn device(&self) -> DeviceInfo {
        self.device.info()
    }

    /// Answers for rows `[rows, columns]`: the raw columns of training in their order (NaN is a missing value), or the
    /// pixels of images as grey levels from 0 to 255. Targets are in their own unit.
    ///
    /// # Errors
    /// [`Error::Data`] for another number of columns or a model that was trained on words, which only a table can
    /// hold; [`Error::Device`] if the device fails.
    pub fn predict<'a>(&self, x: impl Into<ArrayView2<'a, f32>>) -> Result<Predictions> {
        self.predict_data(&self.model.read_arrays(x.into(), None)?)
    }

    /// Answers for each row of a file, a folder of images or a built-in. Columns are found by name.
    ///
    /// # Errors
    /// [`Error::Data`] with the place in the file, [`Error::Device`] if the device fails.
    pub fn predict_file(&self, path: impl AsRef<Path>) -> Result<Predictions> {
        self.predict_data(&self.model.read(&path.as_ref().to_string_lossy(), false)?)
    }

    /// Loss and metrics of rows with their targets, which are of the kind that training had.
    ///
    /// # Errors
    /// As [`Predictor::predict`], [`Error::Data`] also for a class that training did not have, and [`Error::Diverged`]
    /// where the loss is no finite number.
    pub fn evaluate<'a>(&self, x: impl Into<ArrayView2<'a, f32>>, y: impl Into<Targets>) -> Result<Evaluation> {
        self.evaluate_data(&self.model.read_arrays(x.into(), Some(y.into()))?)
    }

    /// Loss and metrics of the rows of a file, a folder of images or a built-in.
    ///
    /// # Errors
    /// As [`Predictor::predict_file`], and [`Error::Diverged`] where the loss is no finite number.
    pub fn evaluate_file(&self, path: impl AsRef<Path>) -> Result<Evaluation> {
        self.evaluate_data(&self.model.read(&path.as_ref().to_string_lossy(), true)?)
    }

    /// Writes the model: see [`TrainedModel::save`].
    ///
    /// # Errors
    /// [`Error::Output`] with the system's reason.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        self.model.save(path)
    }

    fn predict_data(&self, data: &Dataset) -> Result<Predictions> {
        let plan = Arc::new(self.model.plan(data, self.device.max_binding())?);
        self.model.predict(self.device.executor(plan)?.as_mut(), data)
    }

    fn evaluate_data(&self, data: &Dataset) -> Result<Evaluation> {
        let plan = Arc::new(self.model.plan(data, self.device.max_binding())?);
        let (evaluation, _) = self.model.evaluate(self.device.executor(plan)?.as_mut(), data)?;
        if !evaluation.loss.is_finite() {
            return Err(Error::diverged("the loss is not a finite number")
                .at(&data.name)
                .remedy("look for values far outside those of the training rows"));
        }
        Ok(evaluation)
    }
}
