//! A network as a Rust program builds and trains it: layer upon layer, with the settings and defaults of a run file.
//! Prints nothing and keeps nothing outside its values.

use std::ops::{ControlFlow, Deref};
use std::sync::Arc;

use crate::config::{Config, Layer};
use crate::data::Dataset;
use crate::device::{Chosen, Device};
use crate::error::{Error, Result};
use crate::gpu;
use crate::layers;
use crate::model::activations::{Activation, Activations};
use crate::plan::Plan;
use crate::predictor::Predictor;
use crate::train::{End, Epoch, Evaluation, Set, Trainer, setup};
use crate::trained::TrainedModel;
use crate::verify::Report;

/// A network to be trained: its hidden layers from input to output, and how to train it. The output layer follows from
/// the data: one unit for each target, one for two classes, one for each of more classes.
///
/// ```
/// use ndarray::Array2;
/// use wgrad::{Dataset, Sequential, Set};
///
/// let x = Array2::from_shape_fn((200, 1), |(row, _)| row as f32 / 20.0);
/// let y = x.column(0).mapv(|x| 2.0 * x + 1.0);
/// let data = Dataset::from_arrays(&x, &y)?;
/// let fitted = Sequential::new().dense(16, "relu").learning_rate(0.01).epochs(30).fit(&data)?;
/// assert!(fitted.evaluation(Set::Test).is_some());
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sequential {
    /// Its layers are the hidden ones.
    config: Config,
    output: Layer,
    device: Device,
    activations: Vec<&'static Activation>,
}

impl Default for Sequential {
    fn default() -> Self {
        Self::new()
    }
}

impl Sequential {
    /// No hidden layer yet, everything else as a run file has it by default: Adam with learning rate 0.001, 50 epochs,
    /// batches of 64, early stopping after 10 epochs without a better validation loss, seed 42.
    pub fn new() -> Self {
        let mut config = Config::default();
        config.model.layers.clear();
        Sequential::from_config(config)
    }

    /// The network of a run file: the last of its layers is the output layer. What it says of data is ignored.
    pub fn from_config(mut config: Config) -> Self {
        let output = config.model.layers.pop().unwrap_or_else(|| Layer::dense(None, "identity"));
        Sequential { config, output, device: Device::Auto, activations: Vec::new() }
    }

    /// Adds y = f(x·Wᵀ + b) with that many units. The activation is one of [`crate::model::activations::ACTIVATIONS`],
    /// or one of the program's own by its name: see [`Sequential::activation`].
    pub fn dense(self, units: usize, activation: &str) -> Self {
        self.layer(Layer::dense(Some(units), activation))
    }

    /// Adds dropout of that share of the units below, from 0 to below 1 (Srivastava et al. 2014).
    pub fn dropout(self, rate: f64) -> Self {
        self.layer(Layer { kind: "dropout".into(), rate: Some(rate), ..Layer::default() })
    }

    /// Adds batch normalisation (Ioffe & Szegedy 2015).
    pub fn batch_norm(self) -> Self {
        self.layer(Layer { kind: "batch_norm".into(), ..Layer::default() })
    }

    /// Adds a hidden layer with all its settings.
    pub fn layer(mut self, layer: Layer) -> Self {
        self.config.model.layers.push(layer);
        self
    }

    /// The activation of the output layer, `softmax` included. By default there is none, and the loss has what belongs
    /// to it inside: cross entropy the softmax, binary cross entropy the sigmoid.
    pub fn output(mut self, activation: &str) -> Self {
        self.output.activation = Some(activation.into());
        self
    }

    /// Brings an activation of the program's own, made with [`crate::activation!`]; layers name it as any other.
    pub fn activation(mut self, activation: &'static Activation) -> Self {
        self.activations.push(activation);
        self
    }

    /// How often the training rows are gone through at most; at least 1.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.config.train.epochs = epochs;
        self
    }

    /// Rows of a step; at least 1.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.config.train.batch_size = rows;
        self
    }

    /// `sgd`, `adagrad`, `rmsprop`, `adam` or `adamw`.
    pub fn optimizer(mut self, name: &str) -> Self {
        self.config.optimizer.name = name.into();
        self
    }

    /// Above 0.
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.config.optimizer.learning_rate = rate;
        self
    }

    /// `mse`, `mae`, `huber`, `cross_entropy` or `binary_cross_entropy`; by default the task's usual one.
    pub fn loss(mut self, name: &str) -> Self {
        self.config.loss.name = Some(name.into());
        self
    }

    /// Epochs without a better validation loss before training stops; then, and at the end, the best epoch's weights
    /// are kept. 0 trains to the end and keeps the last weights, and so does data without validation rows.
    pub fn early_stopping(mut self, patience: usize) -> Self {
        self.config.early_stopping.patience = patience;
        self
    }

    /// Of start weights, shuffling and dropout. The same seed on the same device gives the same bits.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Where it is trained, and runs afterwards.
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// Any other setting of a run file. The layers there are those added so far, without the output layer.
    ///
    /// ```
    /// let network = wgrad::Sequential::new().dense(8, "tanh").configure(|config| {
    ///     config.regularization.l2 = 1e-4;
    ///     config.schedule.name = "one_cycle".into();
    /// });
    /// ```
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// The run file of this network.
    pub fn config(&self) -> Config {
        let mut config = self.config.clone();
        config.model.layers.push(self.output.clone());
        config
    }

    /// Trains it.
    ///
    /// # Errors
    /// [`Error::Data`] naming the setting that cannot be, such as `model.layers[0].activation`; [`Error::Usage`] for
    /// an own activation whose name is taken or whose WGSL is not valid; [`Error::Diverged`] on NaN or infinity, naming
    /// the step that made it; [`Error::Device`] if the device is not there, fails or has too little memory.
    pub fn fit(&self, data: &Dataset) -> Result<Fitted> {
        self.train(data, |trainer| trainer.fit_all())
    }

    /// Trains it, calling `each` after every epoch; `ControlFlow::Break(())` ends the training there.
    ///
    /// # Errors
    /// As [`Sequential::fit`].
    pub fn fit_with(&self, data: &Dataset, mut each: impl FnMut(&Epoch) -> ControlFlow<()>) -> Result<Fitted> {
        self.train(data, |trainer| trainer.fit(&mut each))
    }

    fn train(&self, data: &Dataset, fit: impl FnOnce(&mut Trainer) -> Result<End>) -> Result<Fitted> {
        let Prepared { config, device, plan, activations } = self.prepare(data)?;
        let mut trainer = Trainer::new(&config, data, device.executor(plan.clone())?).map_err(in_key)?;
        let end = match fit(&mut trainer) {
            Ok(end) => end,
            Err(error) => return Err(device.explain(&plan, &mut trainer, error)),
        };
        let mut evaluations = Vec::new();
        for set in Set::ALL {
            if let Some(evaluation) = trainer.evaluate(set)? {
                evaluations.push((set, evaluation));
            }
        }
        let model = TrainedModel::from_trainer(&mut trainer, &config, data, activations)?;
        let (history, best_epoch) = (trainer.history().to_vec(), trainer.best_epoch());
        drop(trainer);
        Ok(Fitted { predictor: Predictor::new(model, device), config, history, best_epoch, end, evaluations })
    }

    /// Runs every step of training and evaluation on the device and on the f64 reference, and compares every number
    /// with the error bound that follows from its formula: [`Report::verdict`] says whether all lie within. It checks
    /// the derivatives of own activations too.
    ///
    /// # Errors
    /// As [`Sequential::fit`], and [`Error::Verification`] for a wrong derivative.
    pub fn verify(&self, data: &Dataset) -> Result<Report> {
        let Prepared { config, device, plan, activations } = self.prepare(data)?;
        activations.own().iter().try_for_each(|activation| activation.check_derivative())?;
        device.verify(&plan, &config, data)
    }

    /// Checks and settles everything, and opens the device.
    fn prepare(&self, data: &Dataset) -> Result<Prepared> {
        let mut config = self.config();
        config.check()?;
        let activations = Activations::with(&self.activations)?;
        for activation in &self.activations {
            gpu::check_functions(activation.wgsl, &["activate", "activate_derivative"], "own_")
                .map_err(|error| error.at(format!("activation `{}`", activation.name)))?;
        }
        let device = self.device.open()?;
        let shape = setup::shape(data);
        let plan = layers::compile_with(&config, shape, device.limits(&shape), &activations).map_err(in_key)?;
        setup::settle(&mut config, data);
        Ok(Prepared { config, device, plan: Arc::new(plan), activations })
    }
}

/// All that is settled before a device works.
struct Prepared {
    config: Config,
    device: Chosen,
    plan: Arc<Plan>,
    activations: Activations,
}

/// The setting is the place of the fault, where it is about one.
fn in_key((key, error): (String, Error)) -> Error {
    if key.is_empty() || error.fault().place.is_some() { error } else { error.at(key) }
}

/// A trained network with what its training left. It is also a [`Predictor`]: `predict`, `evaluate` and `save` are
/// there.
#[derive(Debug, Clone)]
pub struct Fitted {
    predictor: Predictor,
    config: Config,
    history: Vec<Epoch>,
    best_epoch: Option<usize>,
    end: End,
    evaluations: Vec<(Set, Evaluation)>,
}

impl Deref for Fitted {
    type Target = Predictor;

    fn deref(&self) -> &Predictor {
        &self.predictor
    }
}

impl Fitted {
    /// One entry an epoch.
    pub fn history(&self) -> &[Epoch] {
        &self.history
    }

    /// The epoch, from 1, whose weights were kept; `None` where those of the last one are.
    pub fn best_epoch(&self) -> Option<usize> {
        self.best_epoch
    }

    /// Why training ended.
    pub fn end(&self) -> End {
        self.end
    }

    /// Loss and metrics of a set of the split with the weights that were kept; `None` if it has no rows.
    pub fn evaluation(&self, set: Set) -> Option<&Evaluation> {
        self.evaluations.iter().find(|(own, _)| *own == set).map(|(_, evaluation)| evaluation)
    }

    /// The whole run file, with what was inferred from the data.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Takes the model off its device.
    pub fn into_model(self) -> TrainedModel {
        self.predictor.model().clone()
    }
}
