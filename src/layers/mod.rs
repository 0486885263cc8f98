//! From a run file and the shape of its data to a plan. One file a kind of layer emits its forward and backward steps
//! side by side. Knows the ops and the plan; nothing of devices.

mod batch_norm;
mod dense;
mod dropout;

use crate::config::{self, Config, Task};
use crate::error::{Error, Result, suggestion};
use crate::model::activations::{Activations, IDENTITY, Output};
use crate::model::initializers::Distribution;
use crate::model::losses;
use crate::model::optimizers::Optimizer;
use crate::model::random::dropout_key;
use crate::ops::edge::Drop;
use crate::ops::input::Encoding;
use crate::ops::loss::{Destination, Goal, Loss, output_of};
use crate::ops::norm::{Norm, PARTIALS};
use crate::ops::update::{self, ClipNorm, Penalty, Update};
use crate::ops::{Edge, Input, Op, TensorId, gather::Gather, pitch};
use crate::plan::{Element, Parameter, Plan, Role, Step, Tensor, flat_elements};

/// A fault with the run file's key it is about.
pub type Keyed<T> = Result<T, (String, Error)>;

/// What a plan has to know about the data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataShape {
    /// Of all sets together.
    pub rows: usize,
    /// Numbers of a row.
    pub features: usize,
    /// How they lie on the device.
    pub encoding: Encoding,
    /// What the targets are.
    pub task: Task,
    /// Numbers of a row's target.
    pub target_columns: usize,
    /// What the network has to give for a row.
    pub outputs: usize,
    /// Rows of the training set and of the largest set.
    pub train_rows: usize,
    /// Rows.
    pub largest_set: usize,
}

/// Fewest rows of an evaluation step: small batches would pay a dispatch for every few rows.
const EVALUATION_BATCH: usize = 1024;

impl DataShape {
    /// Bytes of all rows on a device: features, targets and their place in the order.
    pub fn bytes(&self) -> u64 {
        self.row_bytes().iter().sum::<u64>().saturating_mul(self.rows as u64)
    }

    /// Bytes of a row of features, of targets and of the order, padding included.
    fn row_bytes(&self) -> [u64; 3] {
        let element = if self.encoding == Encoding::F32 { 4 } else { 1 };
        [element * pitch(self.features) as u64, 4 * pitch(self.target_columns + 1) as u64, 4]
    }
}

/// What a device has room for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest tensor.
    pub binding: u64,
    /// Of a data set that lies on the device as a whole. A larger one is streamed, window by window.
    pub resident: u64,
    /// Of one window, where a batch does not need more.
    pub window: u64,
}

impl Limits {
    /// Long enough that filling it pays, and short enough that a few that wait for the device are no burden.
    pub const WINDOW: u64 = 8 << 20;

    /// Keeps a data set on the device as long as its bindings allow it.
    pub fn of_binding(binding: u64) -> Self {
        Limits { binding, resident: u64::MAX, window: Limits::WINDOW }
    }
}

/// Most blocks of a resident data set: each costs every step a dispatch.
const MOST_BLOCKS: usize = 8;

/// Rows of a streamed data set whose results wait on the device to be read together.
const STREAMED_RESULTS: usize = 1 << 20;

/// Compiles a configuration for a device whose bindings hold `max_binding` bytes.
///
/// # Errors
/// A name that is unknown, sizes that do not fit each other or the device; with the key that is to blame.
pub fn compile(config: &Config, shape: DataShape, max_binding: u64) -> Keyed<Plan> {
    compile_within(config, shape, Limits::of_binding(max_binding))
}

/// Compiles a configuration for a device.
///
/// # Errors
/// As [`compile`].
pub fn compile_within(config: &Config, shape: DataShape, limits: Limits) -> Keyed<Plan> {
    compile_with(config, shape, limits, &Activations::default())
}

/// As [`compile_within`], with activations that the program brings along.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(config: &Config, shape: DataShape, limits: Limits, activations: &Activations) -> Keyed<Plan> {
    let layers = resolve(config, &shape, activations)?;
    let optimizer = Optimizer::from_config(&config.optimizer)?;
    let (loss, output) = resolve_loss(config, &shape, activations)?;
    let widest = layers.iter().map(|layer| layer.features.max(layer.units)).max().unwrap_or(1);
    let mut builder = Builder::new(config, shape, widest, limits);
    builder.add_parameters(&layers, optimizer.rule.slots.len());
    let mut current = builder.start(&layers);
    for (i, layer) in layers.iter().enumerate() {
        current = match &layer.kind {
            Kind::Dense(dense) => {
                let drop = layers.get(i + 1).and_then(Layer::drop);
                dense::emit(&mut builder, layer, dense, drop, current)
            }
            Kind::BatchNorm(norm) => batch_norm::emit(&mut builder, layer, norm, current),
            // A dense layer has taken it into its epilogue.
            Kind::Dropout(_) if i > 0 && matches!(layers[i - 1].kind, Kind::Dense(_)) => current,
            Kind::Dropout(drop) => dropout::emit(&mut builder, layer, *drop, current),
        };
    }
    builder.emit_loss(loss, output, config.loss.delta.unwrap_or(1.0) as f32, &current);
    builder.emit_update(&config.regularization, optimizer);
    let plan = builder.finish();
    plan.check(limits.binding).map_err(|error| ("model.layers".to_owned(), error))?;
    Ok(plan)
}

/// A layer of the run file with its defaults filled in.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Its place in `model.layers`: the `<i>` of its tensors' names.
    pub index: usize,
    pub features: usize,
    pub units: usize,
    pub kind: Kind,
}

impl Layer {
    /// What it drops, if it is dropout that does anything.
    fn drop(&self) -> Option<Drop> {
        match self.kind {
            Kind::Dropout(drop) if drop.rate > 0.0 => Some(drop),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Kind {
    Dense(dense::Settings),
    BatchNorm(batch_norm::Settings),
    Dropout(Drop),
}

/// What a layer hands to the one above.
pub(crate) struct Current {
    /// The layer's output while training and while evaluating.
    pub train: Input,
    pub evaluate: Input,
    /// How its output was made and where the gradient of its sums goes, if there is anything to train below.
    pub below: Option<(Edge, TensorId)>,
}

/// Looks up names and sizes, layer by layer.
fn resolve(config: &Config, shape: &DataShape, activations: &Activations) -> Keyed<Vec<Layer>> {
    let given = &config.model.layers;
    let mut layers: Vec<Layer> = Vec::new();
    let mut features = shape.features;
    for (index, layer) in given.iter().enumerate() {
        let key = |field: &str| format!("model.layers[{index}].{field}");
        let is_last = index + 1 == given.len();
        let (kind, units) = match layer.kind.as_str() {
            "dense" => {
                let units = dense::units(layer, is_last.then_some(shape.outputs)).map_err(|e| (key("units"), e))?;
                let place = dense::Place { index, is_last, features, units };
                (Kind::Dense(dense::resolve(layer, config, place, activations)?), units)
            }
            "batch_norm" => (Kind::BatchNorm(batch_norm::resolve(layer)), features),
            "dropout" => {
                if matches!(layers.last(), Some(Layer { kind: Kind::Dropout(_), .. })) {
                    let error = Error::data("two dropout layers follow each other").remedy("keep one of them");
                    return Err((key("type"), error));
                }
                let drop = Drop { rate: layer.rate.unwrap_or(0.0), key: dropout_key(config.seed, index) };
                (Kind::Dropout(drop), features)
            }
            other => {
                let error = Error::data(format!("unknown layer type `{other}`"));
                let near = suggestion(other, ["dense", "batch_norm", "dropout"]).unwrap_or("dense");
                return Err((key("type"), error.remedy(format!("did you mean `{near}`?"))));
            }
        };
        layers.push(Layer { index, features, units, kind });
        features = units;
    }
    match layers.last() {
        Some(Layer { kind: Kind::Dense(_), .. }) => Ok(layers),
        _ => Err((
            "model.layers".to_owned(),
            Error::data("the last layer must be dense").remedy("end the list with { type = \"dense\" }"),
        )),
    }
}

/// The loss, and what the last layer does to its sums before it.
fn resolve_loss(
    config: &Config,
    shape: &DataShape,
    activations: &Activations,
) -> Keyed<(&'static losses::Loss, Output)> {
    let in_key = |key: &str| {
        let key = key.to_owned();
        move |error| (key, error)
    };
    let loss = match &config.loss.name {
        Some(name) => losses::find(name).map_err(in_key("loss.name"))?,
        None => losses::default_for(shape.task),
    };
    if matches!(loss.form, losses::Form::CrossEntropy) && shape.task != Task::Classification {
        let remedy = match shape.task {
            Task::Binary => "use binary_cross_entropy, or task = \"classification\" for one output a class",
            _ => "use mse, mae or huber, or task = \"classification\"",
        };
        let error = Error::data("cross_entropy needs classes").remedy(remedy);
        return Err(in_key("loss.name")(error));
    }
    if loss.name == "binary_cross_entropy" && shape.task != Task::Binary {
        let error = Error::data("binary_cross_entropy needs a target of two classes")
            .remedy("use cross_entropy for classes and mse, mae or huber for numbers");
        return Err(in_key("loss.name")(error));
    }
    if config.loss.delta.is_some() && loss.name != "huber" {
        let error = Error::data(format!("{} has no setting `delta`", loss.name)).remedy("remove it; huber has it");
        return Err(in_key("loss.delta")(error));
    }
    let last = config.model.layers.len() - 1;
    let name = config.model.layers[last].activation.as_deref().unwrap_or("identity");
    let key = format!("model.layers[{last}].activation");
    let output = activations.find_output(name).map_err(in_key(&key))?;
    if matches!(loss.form, losses::Form::CrossEntropy)
        && ![Output::Softmax, Output::Pointwise(&IDENTITY)].contains(&output)
    {
        let error = Error::data(format!("{} has softmax inside, which an output of {name} does not fit", loss.name))
            .remedy("leave the last layer's activation out, or use mse");
        return Err(in_key(&key)(error));
    }
    Ok((loss, output_of(loss, output)))
}

/// Collects tensors and steps.
pub(crate) struct Builder {
    shape: DataShape,
    limits: Limits,
    tensors: Vec<Tensor>,
    pub parameters: Vec<Parameter>,
    pub states: Vec<(TensorId, f32)>,
    forward: Vec<Step>,
    /// Grows from the first layer to the last; training runs it backwards.
    backward: Vec<Step>,
    update: Vec<Step>,
    evaluate: Vec<Step>,
    batch_size: usize,
    evaluation_batch_size: usize,
    window: usize,
    is_resident: bool,
    features: Vec<(TensorId, usize)>,
    order: TensorId,
    targets: TensorId,
    results: TensorId,
    predictions: TensorId,
}

/// Rows that the epochs of a tiny network may have in all if they are run at a time, and how many epochs those may be:
/// some 20 ms of work.
const SHARED_ROWS: usize = 16_384;
const SHARED_EPOCHS: usize = 1024;

impl Builder {
    /// `widest`: columns of the widest tensor between two layers.
    fn new(config: &Config, shape: DataShape, widest: usize, limits: Limits) -> Self {
        let batch_size = config.train.batch_size.min(shape.train_rows).max(1);
        let rows_in_binding = |columns: usize| limits.binding / (4 * pitch(columns) as u64);
        let window = rows_in_binding(shape.outputs).min(shape.largest_set as u64).max(1) as usize;
        // Evaluation takes larger batches only as long as no layer's output outgrows a binding by it.
        let evaluated = (EVALUATION_BATCH.min(window) as u64).min(rows_in_binding(widest)) as usize;
        let mut builder = Builder {
            shape,
            limits,
            tensors: Vec::new(),
            parameters: Vec::new(),
            states: Vec::new(),
            forward: Vec::new(),
            backward: Vec::new(),
            update: Vec::new(),
            evaluate: Vec::new(),
            batch_size,
            evaluation_batch_size: batch_size.max(evaluated),
            window: window.max(batch_size),
            is_resident: true,
            features: Vec::new(),
            order: TensorId(0),
            targets: TensorId(0),
            results: TensorId(0),
            predictions: TensorId(0),
        };
        builder.add_data();
        builder
    }

    /// The data set in as few blocks as one binding allows, or room for a window of it, and what goes with it.
    fn add_data(&mut self) {
        let (shape, limits) = (self.shape, self.limits);
        let element = if shape.encoding == Encoding::F32 { Element::F32 } else { Element::U8 };
        let [row, target_row, place] = shape.row_bytes();
        let rows_a_block = (limits.binding / row).max(1) as usize;
        self.is_resident = shape.rows.div_ceil(rows_a_block) <= MOST_BLOCKS
            && shape.rows as u64 <= limits.binding / target_row
            && shape.bytes() <= limits.resident;
        let rows = if self.is_resident {
            shape.rows
        } else {
            let wanted = (limits.window / (row + target_row + place)).min(limits.binding / row.max(target_row));
            (wanted as usize).max(self.batch_size).max(self.evaluation_batch_size).min(shape.rows)
        };
        if !self.is_resident {
            self.window = self.window.min(STREAMED_RESULTS).max(self.batch_size).max(self.evaluation_batch_size);
        }
        // One block for a window: where a batch of it is more than a binding, that is told.
        let rows_a_block = if self.is_resident { rows_a_block } else { rows };
        for (block, first) in (0..rows).step_by(rows_a_block).enumerate() {
            let name = if rows <= rows_a_block { "features".into() } else { format!("features.{block}") };
            let rows = rows_a_block.min(rows - first);
            let id = self.tensor(Tensor { name, role: Role::Features, element, rows, columns: shape.features });
            self.features.push((id, first));
        }
        let mut add = |name: &str, role, element, rows, columns| {
            self.tensor(Tensor { name: name.into(), role, element, rows, columns })
        };
        let targets = add("targets", Role::Targets, Element::F32, rows, shape.target_columns + 1);
        let order = add("order", Role::Order, Element::U32, 1, rows);
        (self.targets, self.order) = (targets, order);
    }

    fn tensor(&mut self, tensor: Tensor) -> TensorId {
        self.tensors.push(tensor);
        TensorId(self.tensors.len() - 1)
    }

    /// A tensor with a row for each row of a batch.
    pub fn activation(&mut self, name: String, columns: usize) -> TensorId {
        let rows = self.batch_size.max(self.evaluation_batch_size);
        self.tensor(Tensor { name, role: Role::Activation, element: Element::F32, rows, columns })
    }

    /// A gradient with a row for each row of a training batch.
    pub fn batch_gradient(&mut self, of: &str, columns: usize) -> TensorId {
        let rows = self.batch_size;
        self.tensor(Tensor { name: format!("d{of}"), role: Role::Activation, element: Element::F32, rows, columns })
    }

    /// A tensor of this shape that steps make and others read.
    pub fn workspace(&mut self, name: String, rows: usize, columns: usize) -> TensorId {
        self.tensor(Tensor { name, role: Role::Activation, element: Element::F32, rows, columns })
    }

    pub fn state(&mut self, name: String, columns: usize, start: f32) -> TensorId {
        let id = self.tensor(Tensor { name, role: Role::State, element: Element::F32, rows: 1, columns });
        self.states.push((id, start));
        id
    }

    pub fn forward(&mut self, layer: &str, op: impl Op + 'static) {
        self.forward.push(step(layer, op));
    }

    pub fn backward(&mut self, layer: &str, op: impl Op + 'static) {
        self.backward.push(step(layer, op));
    }

    pub fn evaluate(&mut self, layer: &str, op: impl Op + 'static) {
        self.evaluate.push(step(layer, op));
    }

    /// The parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| self.tensors[parameter.weight.0].name == name)
    }

    /// Every layer's parameters, weight matrices first, each role in one run of neighbours.
    fn add_parameters(&mut self, layers: &[Layer], slots: usize) {
        let mut wanted: Vec<Wanted> = Vec::new();
        for layer in layers {
            match &layer.kind {
                Kind::Dense(dense) => wanted.extend(dense::parameters(layer, dense)),
                Kind::BatchNorm(_) => wanted.extend(batch_norm::parameters(layer)),
                Kind::Dropout(_) => {}
            }
        }
        wanted.sort_by_key(|parameter| !parameter.is_matrix);
        let mut add = |prefix: &str, role| -> Vec<TensorId> {
            let tensors = wanted.iter().map(|w| Tensor {
                name: format!("{prefix}{}", w.name),
                role,
                element: Element::F32,
                rows: w.rows,
                columns: w.columns,
            });
            tensors.map(|tensor| self.tensor(tensor)).collect()
        };
        let weights = add("", Role::Parameter);
        let gradients = add("d", Role::Gradient);
        let slots: Vec<Vec<TensorId>> = (0..slots).map(|n| add(&format!("slot{n}."), Role::Slot(n))).collect();
        self.parameters = (wanted.iter().enumerate())
            .map(|(i, w)| Parameter {
                weight: weights[i],
                gradient: gradients[i],
                slots: slots.iter().map(|slot| slot[i]).collect(),
                is_matrix: w.is_matrix,
                start: w.start,
                offset: w.offset,
            })
            .collect();
    }

    /// The rows that the first layer reads: straight from the data set where a dense layer can, else gathered.
    fn start(&mut self, layers: &[Layer]) -> Current {
        let DataShape { features, encoding, .. } = self.shape;
        let order = self.order;
        let direct = self.features.len() == 1 && matches!(layers[0].kind, Kind::Dense(_));
        let input = if direct {
            Input::Resident { data: self.features[0].0, order, features, encoding }
        } else {
            let output = self.activation("input".into(), features);
            for (block, &(data, first)) in self.features.clone().iter().enumerate() {
                let rows = first..first + self.tensors[data.0].rows;
                let gather = Gather { data, encoding, order, output, features, rows };
                self.forward(&format!("block {block}"), gather.clone());
                self.evaluate(&format!("block {block}"), gather);
            }
            Input::Batch { tensor: output, features }
        };
        Current { train: input, evaluate: input, below: None }
    }

    fn emit_loss(&mut self, loss: &'static losses::Loss, output: Output, delta: f32, last: &Current) {
        let (Input::Batch { tensor: logits, .. }, Some((_, gradient))) = (last.train, last.below) else {
            unreachable!("the last layer is dense")
        };
        let shape = self.shape;
        let goal = match shape.task {
            Task::Regression => Goal::Numbers,
            Task::Binary => Goal::Binary,
            Task::Classification => Goal::Class,
        };
        let mut add = |name: &str, role, columns| {
            let rows = self.window;
            self.tensor(Tensor { name: name.into(), role, element: Element::F32, rows, columns })
        };
        let results = add("results", Role::Results, 2);
        let predictions = add("predictions", Role::Predictions, shape.outputs);
        (self.results, self.predictions) = (results, predictions);
        let op = Loss {
            loss,
            output,
            goal,
            delta,
            logits,
            order: self.order,
            targets: self.targets,
            target_columns: shape.target_columns,
            results,
            destination: Destination::Gradient(gradient),
            outputs: shape.outputs,
        };
        self.evaluate(loss.name, Loss { destination: Destination::Predictions(predictions), ..op.clone() });
        self.forward(loss.name, op);
    }

    /// One update for each run of parameters that fits one binding; usually one in all.
    fn emit_update(&mut self, regularization: &config::Regularization, optimizer: Optimizer) {
        let penalty = Penalty { l1: regularization.l1 as f32, l2: regularization.l2 as f32 };
        let mut ranges: Vec<Vec<update::Parameter>> = Vec::new();
        let mut used = 0;
        for parameter in &self.parameters {
            let tensor = &self.tensors[parameter.weight.0];
            let elements = flat_elements(tensor);
            if ranges.is_empty() || (used + elements) as u64 * 4 > self.limits.binding {
                ranges.push(Vec::new());
                used = 0;
            }
            ranges.last_mut().expect("just pushed").push(update::Parameter {
                weight: parameter.weight,
                gradient: parameter.gradient,
                slots: parameter.slots.clone(),
                is_matrix: parameter.is_matrix,
                offset4: (used / 4) as u32,
                columns: tensor.columns,
            });
            used += elements;
        }
        let end4 = |p: &update::Parameter| p.offset4 + (self.tensors[p.weight.0].padded() / 4) as u32;
        let sizes: Vec<(u32, u32)> = ranges
            .iter()
            .map(|range| {
                let matrices = range.iter().rev().find(|p| p.is_matrix).map_or(0, end4);
                (range.last().map_or(0, end4), matrices)
            })
            .collect();
        let clip_norm = regularization.clip_norm.map(|limit| {
            let count = PARTIALS * ranges.len();
            ClipNorm { limit: limit as f32, partials: self.workspace("norm.partials".into(), count, 1), count }
        });
        let name = |i: usize| if ranges.len() == 1 { String::new() } else { format!("range {i}") };
        let mut steps = Vec::new();
        if let Some(ClipNorm { partials, .. }) = clip_norm {
            for (i, (range, &(length4, matrices4))) in ranges.iter().zip(&sizes).enumerate() {
                let offset = i * PARTIALS;
                let norm = Norm { parameters: range.clone(), length4, matrices4, penalty, partials, offset };
                steps.push(step(&name(i), norm));
            }
        }
        for (i, (range, &(length4, matrices4))) in ranges.iter().zip(&sizes).enumerate() {
            let update = Update {
                optimizer,
                parameters: range.clone(),
                length4,
                matrices4,
                penalty,
                clip_value: regularization.clip_value.map(|limit| limit as f32),
                clip_norm,
            };
            let label = [optimizer.rule.name, &name(i)].join(" ");
            steps.push(step(label.trim(), update));
        }
        self.update = steps;
    }

    fn finish(self) -> Plan {
        let mut train = self.forward;
        train.extend(self.backward.into_iter().rev());
        train.extend(self.update);
        let (rows, train_rows, limits) = (self.shape.rows, self.shape.train_rows, self.limits);
        let mut plan = Plan {
            tensors: self.tensors,
            parameters: self.parameters,
            states: self.states,
            train,
            evaluate: self.evaluate,
            batch_size: self.batch_size,
            evaluation_batch_size: self.evaluation_batch_size,
            window: self.window,
            is_resident: self.is_resident,
            features: self.features,
            targets: self.targets,
            order: self.order,
            results: self.results,
            predictions: self.predictions,
        };
        if plan.is_resident && plan.is_tiny() {
            let bytes = 4 * pitch(plan.tensor(plan.results).columns) as u64;
            let most = SHARED_ROWS.min((limits.binding / bytes) as usize);
            let epochs = (most / train_rows.max(1)).clamp(1, SHARED_EPOCHS);
            // Whole `vec4`s, so that what is written of it needs no padding.
            if epochs > 1 {
                plan.tensors[plan.order.0].columns = pitch(rows + (epochs - 1) * train_rows);
            }
            let results = &mut plan.tensors[plan.results.0];
            results.rows = results.rows.max(epochs * train_rows);
        }
        plan
    }
}

fn step(layer: &str, op: impl Op + 'static) -> Step {
    Step { label: format!("{} {layer}", op.name()).trim().to_owned(), op: Box::new(op) }
}

/// A parameter that a layer asks for.
pub(crate) struct Wanted {
    pub name: String,
    pub rows: usize,
    pub columns: usize,
    pub is_matrix: bool,
    pub start: Distribution,
    pub offset: f32,
}

#[cfg(test)]
pub(crate) mod tests;
