//! The plan in the making: tensors in the order of their roles, steps in the order of their lists. Layers add theirs to
//! it; what stands at both ends, data, loss and update, is here.

use super::resolve::{Kind, Layer};
use super::{DataShape, Limits, batch_norm, dense};
use crate::config::{self, Config, Task};
use crate::model::activations::Output;
use crate::model::initializers::Distribution;
use crate::model::losses;
use crate::model::optimizers::Optimizer;
use crate::ops::input::Encoding;
use crate::ops::loss::{Destination, Goal, Loss};
use crate::ops::norm::{Norm, PARTIALS};
use crate::ops::update::{self, ClipNorm, Penalty, Update};
use crate::ops::{Edge, Input, Op, TensorId, gather::Gather, pitch};
use crate::plan::{Element, Parameter, Plan, Role, Step, Tensor, flat_elements};

/// Fewest rows of an evaluation step: small batches would pay a dispatch for every few rows.
pub(super) const EVALUATION_BATCH: usize = 1024;

/// Most blocks of a resident data set: each costs every step a dispatch.
const MOST_BLOCKS: usize = 8;

/// Rows of a streamed data set whose results wait on the device to be read together.
const STREAMED_RESULTS: usize = 1 << 20;

/// What a layer hands to the one above.
pub(crate) struct Current {
    /// The layer's output while training and while evaluating.
    pub train: Input,
    pub evaluate: Input,
    /// How its output was made and where the gradient of its sums goes, if there is anything to train below.
    pub below: Option<(Edge, TensorId)>,
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
    pub batch_size: usize,
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
    pub(super) fn new(config: &Config, shape: DataShape, widest: usize, limits: Limits) -> Self {
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
    pub(super) fn add_parameters(&mut self, layers: &[Layer], slots: usize) {
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
    pub(super) fn start(&mut self, layers: &[Layer]) -> Current {
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

    pub(super) fn emit_loss(&mut self, loss: &'static losses::Loss, output: Output, delta: f32, last: &Current) {
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
    pub(super) fn emit_update(&mut self, regularization: &config::Regularization, optimizer: Optimizer) {
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

    pub(super) fn finish(self) -> Plan {
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
