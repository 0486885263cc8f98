//! A finished model: read from its file, applied to further rows on any executor. Knows executors by their trait only,
//! and prints nothing.

mod check;
mod predictions;

use std::path::{Path, PathBuf};

use ndarray::ArrayView2;
use safetensors::tensor::SafeTensors;
use serde::Deserialize;
use serde_json::json;

pub use predictions::Predictions;

use crate::config::{self, ClassWeights, Config};
use crate::data::{Dataset, Preprocessing, Targets};
use crate::error::{Error, Result, suggestion};
use crate::layers::{self, DataShape, Limits};
use crate::model::activations::{Activation, Activations, IDENTITY, Output};
use crate::model::losses::{self, Form};
use crate::ops::input::Encoding;
use crate::ops::loss::output_of;
use crate::plan::{Executor, Plan};
use crate::train::feed::Feed;
use crate::train::metrics::{Metrics, Truth};
use crate::train::setup::{self, RowWeights};
use crate::train::{Evaluation, Trainer, inference, weights};

/// The file of a run's folder that holds all of a model.
pub const FILE: &str = "model.safetensors";

/// Network, weights and preprocessing of a finished run.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    /// `model` and `loss` are the run's; the rest is what running a network needs.
    config: Config,
    preprocessing: Preprocessing,
    /// By name, in the order of a plan's model tensors.
    weights: Vec<(String, Vec<f32>)>,
    activations: Activations,
}

/// What the file's metadata says besides the weights.
#[derive(Deserialize)]
struct Description {
    model: config::Model,
    loss: config::Loss,
    preprocessing: Preprocessing,
}

impl TrainedModel {
    /// Opens a run's folder or a `model.safetensors` by itself.
    ///
    /// # Errors
    /// [`Error::Output`] if it is absent, no model of wgrad, does not hold together, or has an activation that is not
    /// built in: [`TrainedModel::load_with`] takes it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &[])
    }

    /// As [`TrainedModel::load`], for a model that was trained with activations of the program's own.
    ///
    /// # Errors
    /// As [`TrainedModel::load`], and [`Error::Usage`] for an activation whose name is taken.
    pub fn load_with(path: impl AsRef<Path>, activations: &[&'static Activation]) -> Result<Self> {
        let path = path.as_ref();
        let file = locate(path)?;
        let at = |error: Error| error.at(file.display());
        let bytes = std::fs::read(&file)
            .map_err(|error| at(Error::output(format!("cannot be read: {error}")).remedy("check who may read it")))?;
        let activations = Activations::with(activations)?;
        Self::from_bytes_with(&bytes, activations).map_err(at)
    }

    /// A model from the bytes of its file, which may come from anywhere: memory is taken for what is there, never for
    /// what is claimed.
    ///
    /// # Errors
    /// [`Error::Output`] if they are no model of wgrad or do not hold together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_bytes_with(bytes, Activations::default())
    }

    /// As [`TrainedModel::from_bytes`], with the activations that the model may name.
    ///
    /// # Errors
    /// As [`TrainedModel::from_bytes`].
    pub fn from_bytes_with(bytes: &[u8], activations: Activations) -> Result<Self> {
        let no_file = |error| {
            Error::output(format!("is not a safetensors file, or not a whole one: {error}"))
                .remedy("give a run's folder or its model.safetensors")
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(no_file)?;
        let (_, head) = SafeTensors::read_metadata(bytes).map_err(no_file)?;
        let foreign = |problem: String| {
            Error::output(problem).remedy("give the model.safetensors of a run; train --init takes bare weights")
        };
        let text = head.metadata().as_ref().and_then(|metadata| metadata.get("wgrad"));
        let text = text.ok_or_else(|| foreign("holds weights but no description of wgrad".into()))?;
        let description: Description = serde_json::from_str(text)
            .map_err(|error| foreign(format!("has a description that wgrad does not understand: {error}")))?;
        check::description(&description, bytes.len())?;
        check::activations(&description, &activations)?;
        let Description { model, loss, preprocessing } = description;
        let config = inference_config(model, loss);
        config.check().map_err(check::unfit)?;
        let mut trained = TrainedModel { config, preprocessing, weights: Vec::new(), activations };
        let plan = trained.compile(1, Encoding::F32, u64::MAX)?;
        let read = weights::of_file(&tensors, &plan)?;
        trained.weights = read.into_iter().map(|(id, values)| (plan.tensor(id).name.clone(), values)).collect();
        check::variances(&trained.weights)?;
        Ok(trained)
    }

    /// What a trainer has learned: its network with the weights that are on its device now. `config` and `data` are
    /// those it was made of, settled by [`setup::settle`].
    ///
    /// # Errors
    /// [`Error::Device`] if the weights cannot be read back.
    pub fn from_trainer(
        trainer: &mut Trainer,
        config: &Config,
        data: &Dataset,
        activations: Activations,
    ) -> Result<Self> {
        let loss = resolved_loss(config, trainer.weights());
        let config = inference_config(config.model.clone(), loss);
        let values = trainer.model_weights()?;
        let plan = trainer.executor().plan();
        let names = plan.model_tensors().into_iter().map(|id| plan.tensor(id).name.clone());
        let weights = names.zip(values).collect();
        Ok(TrainedModel { config, preprocessing: data.preprocessing.clone(), weights, activations })
    }

    /// The bytes of its `model.safetensors`. The same model gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] if the weights do not fit the layers.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let plan = self.compile(1, Encoding::F32, u64::MAX)?;
        let weights: Vec<&[f32]> = self.weights.iter().map(|(_, values)| values.as_slice()).collect();
        let description =
            json!({"model": self.config.model, "loss": self.config.loss, "preprocessing": self.preprocessing});
        weights::to_bytes(&plan, &weights, &description)
    }

    /// Writes its file, whole or not at all: `path` itself if it ends in `.safetensors`, else `model.safetensors` in
    /// the folder `path`, which is made if it is not there. Returns the file's path.
    ///
    /// # Errors
    /// [`Error::Output`] with the system's reason.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        let is_file = path.extension().is_some_and(|extension| extension == "safetensors");
        let file = if is_file { path.to_owned() } else { path.join(FILE) };
        if !is_file {
            std::fs::create_dir_all(path).map_err(|error| {
                let error = Error::output(format!("the folder cannot be made: {error}"));
                error.at(path.display()).remedy("name another one")
            })?;
        }
        crate::file::write(&file, &self.to_bytes()?)?;
        Ok(file)
    }

    /// The activations that it may name.
    pub fn activations(&self) -> &Activations {
        &self.activations
    }

    /// How rows are encoded, and what the answers mean.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// The layers, from input to output.
    pub fn layers(&self) -> &[config::Layer] {
        &self.config.model.layers
    }

    /// A weight matrix `[out, in]`, row by row, or a vector, by its name in the file.
    pub fn weight(&self, name: &str) -> Option<&[f32]> {
        self.weights.iter().find(|(own, _)| own == name).map(|(_, values)| values.as_slice())
    }

    /// How many outputs the network has.
    pub fn outputs(&self) -> usize {
        self.preprocessing.outputs()
    }

    /// What turns the last layer's sums into answers: its own activation, then what is inside the loss.
    ///
    /// # Errors
    /// A name that is none, which opening has ruled out.
    pub fn output(&self) -> Result<[Output; 2]> {
        let loss = self.loss()?;
        let last = self.config.model.layers.last().and_then(|layer| layer.activation.as_deref());
        let own = self.activations.find_output(last.unwrap_or(IDENTITY.name))?;
        let inside = loss.inside.unwrap_or(Output::Pointwise(&IDENTITY));
        // Cross entropy takes the softmax of the sums, whatever the layer says.
        let own = if matches!(loss.form, Form::CrossEntropy) { Output::Pointwise(&IDENTITY) } else { own };
        Ok([output_of(loss, own), inside])
    }

    /// The answers to classes are probabilities as they come; otherwise they have to be made so.
    pub fn gives_probabilities(&self) -> Result<bool> {
        let [own, inside] = self.output()?;
        Ok(inside != Output::Pointwise(&IDENTITY) || own == Output::Softmax)
    }

    fn loss(&self) -> Result<&'static losses::Loss> {
        match &self.config.loss.name {
            Some(name) => losses::find(name),
            None => Ok(losses::default_for(self.preprocessing.task)),
        }
    }

    /// Encodes a file, a folder, a built-in or `-` as the training rows were; warnings are the data set's notes.
    ///
    /// # Errors
    /// [`Error::Data`] naming what is absent or does not fit.
    pub fn read(&self, source: &str, need_targets: bool) -> Result<Dataset> {
        let encoded = self.preprocessing.apply(source, need_targets)?;
        self.preprocessing.dataset(encoded, source)
    }

    /// Encodes rows that are in memory, `[rows, columns]` with the columns in the order of training (for images: grey
    /// levels from 0 to 255), as the training rows were. A missing value is NaN.
    ///
    /// # Errors
    /// [`Error::Data`] for another number of columns, a model that was trained on words, or targets that do not fit.
    pub fn read_arrays(&self, x: ArrayView2<f32>, y: Option<Targets>) -> Result<Dataset> {
        let encoded = self.preprocessing.apply_arrays(x, y)?;
        self.preprocessing.dataset(encoded, "arrays")
    }

    /// The plan that runs this network on these rows, for a device whose bindings hold `max_binding` bytes.
    ///
    /// # Errors
    /// [`Error::Data`] where the network does not fit the device.
    pub fn plan(&self, data: &Dataset, max_binding: u64) -> Result<Plan> {
        let shape = setup::shape(data);
        layers::compile_with(&self.config, shape, Limits::of_binding(max_binding), &self.activations)
            .map_err(|(_, error)| error)
    }

    fn compile(&self, rows: usize, encoding: Encoding, max_binding: u64) -> Result<Plan> {
        let shape = DataShape {
            rows,
            features: self.preprocessing.feature_columns(),
            encoding,
            task: self.preprocessing.task,
            target_columns: self.preprocessing.targets.len(),
            outputs: self.outputs(),
            train_rows: 0,
            largest_set: rows,
        };
        layers::compile_with(&self.config, shape, Limits::of_binding(max_binding), &self.activations)
            .map_err(|(key, error)| check::unfit(if key.is_empty() { error } else { error.at(key) }))
    }

    /// Answers for each row. The executor's plan must come from [`TrainedModel::plan`] with the same data.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn predict(&self, executor: &mut dyn Executor, data: &Dataset) -> Result<Predictions> {
        let unit = RowWeights::unit();
        let (_, outputs) = self.run(executor, data, &unit)?;
        Ok(Predictions::new(&self.preprocessing, &outputs, self.gives_probabilities()?))
    }

    /// Loss and metrics of rows with targets, and the metrics of always answering their mean or most frequent class.
    /// The executor's plan must come from [`TrainedModel::plan`] with the same data.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails, [`Error::Output`] if the model lacks the class weights of its loss.
    pub fn evaluate(&self, executor: &mut dyn Executor, data: &Dataset) -> Result<(Evaluation, Metrics)> {
        if let Some(ClassWeights::Named(name)) = &self.config.loss.class_weights {
            return Err(Error::output(format!("the model's class weights are \"{name}\", not numbers"))
                .remedy("train it again with this version"));
        }
        let weights = RowWeights::new(&self.config, data)?;
        let (loss, outputs) = self.run(executor, data, &weights)?;
        let truth = Truth { data, rows: &data.split.test };
        let evaluation = Evaluation { loss, metrics: truth.metrics(&outputs) };
        Ok((evaluation, truth.baseline(&data.split.test)))
    }

    fn run(&self, executor: &mut dyn Executor, data: &Dataset, weights: &RowWeights) -> Result<(f64, Vec<f32>)> {
        setup::load_data(executor, data, weights)?;
        let missing = |name: &str| Error::internal(format!("the plan has no `{name}`"));
        let named = self.weights.iter().map(|(name, values)| {
            let id = executor.plan().find(name).ok_or_else(|| missing(name))?;
            Ok((id, values.clone()))
        });
        let weights_by_id = named.collect::<Result<Vec<_>>>()?;
        setup::write_weights(executor, &weights_by_id)?;
        let order = setup::order(data);
        if executor.plan().is_resident {
            return inference::run(&mut inference::Resident { executor, data, weights, order }, 0..data.rows);
        }
        // More rows than the device has bindings for: window by window, each as if it were all.
        let (mut loss, mut outputs) = (0.0, Vec::new());
        for window in order.chunks(executor.plan().data_rows()) {
            Feed::default().write(executor, data, weights, window)?;
            let order = window.to_vec();
            let mut resident = inference::Resident { executor: &mut *executor, data, weights, order };
            let (mean, answers) = inference::run(&mut resident, 0..window.len())?;
            loss += mean * window.len() as f64;
            outputs.extend(answers);
        }
        Ok((loss / data.rows as f64, outputs))
    }
}

/// What running a network needs besides its layers: no slots, and no more than a row's gradients.
fn inference_config(model: config::Model, loss: config::Loss) -> Config {
    let mut config = Config { model, loss, ..Config::default() };
    config.optimizer.name = "sgd".into();
    config.train.batch_size = 1;
    config
}

/// "balanced" is a matter of the training rows, which whoever opens the model does not have.
fn resolved_loss(config: &Config, weights: &RowWeights) -> config::Loss {
    config::Loss { class_weights: weights.resolved(), ..config.loss.clone() }
}

/// The model's file from what the user typed.
fn locate(path: &Path) -> Result<PathBuf> {
    let at = |problem: &str| Error::output(problem).at(path.display());
    let kind = match std::fs::metadata(path) {
        Ok(kind) => kind,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let remedy = match neighbour(path) {
                Some(near) => format!("did you mean {}?", near.display()),
                None => "give a run's folder, which `wgrad train` names in its last line".into(),
            };
            return Err(at("there is no such run").remedy(remedy));
        }
        Err(error) => return Err(at(&format!("cannot be read: {error}")).remedy("check who may read it")),
    };
    if kind.is_file() {
        return Ok(path.to_owned());
    }
    let file = path.join(FILE);
    if file.is_file() {
        return Ok(file);
    }
    if !kind.is_dir() {
        return Err(at("is neither a folder nor a file").remedy("give a run's folder or its model.safetensors"));
    }
    let remedy = match newest_run(path) {
        Some(run) => format!("did you mean {}?", run.display()),
        None => "give a folder that `wgrad train` has left".into(),
    };
    Err(at("there is no model.safetensors in this folder").remedy(remedy))
}

/// A name in the same folder that is a slip of the finger away.
fn neighbour(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let names = names(folder.unwrap_or(Path::new(".")));
    let near = suggestion(path.file_name()?.to_str()?, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near))
}

/// The last run of a folder of runs: their names begin with the time.
fn newest_run(folder: &Path) -> Option<PathBuf> {
    names(folder).iter().rev().map(|name| folder.join(name)).find(|run| run.join(FILE).is_file())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(10_000);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}
