//! What has to be on a device before the first step: the data set, the row order and the start weights.

use crate::config::{ClassWeights, Column, Config, Target, Task};
use crate::data::{Dataset, Features, Inputs, Rows};
use crate::error::{Error, Result};
use crate::layers::{DataShape, Limits};
use crate::model::losses;
use crate::model::random::{self, Stream};
use crate::ops::TensorId;
use crate::ops::input::Encoding;
use crate::plan::{Executor, Plan, Role, Values};

use super::feed::Feed;
use super::weights;

/// What a plan has to know about a data set.
pub fn shape(data: &Dataset) -> DataShape {
    let split = &data.split;
    DataShape {
        rows: data.rows,
        features: data.feature_columns(),
        encoding: match data.features.scaling() {
            None => Encoding::F32,
            Some([scale, shift]) => Encoding::U8 { scale, shift },
        },
        task: data.task,
        target_columns: data.target_columns(),
        outputs: data.outputs(),
        train_rows: split.train.len(),
        largest_set: split.train.len().max(split.validation.len()).max(split.test.len()),
    }
}

/// Writes down what was inferred from the data, so that the same configuration repeats the run.
pub fn settle(config: &mut Config, data: &Dataset) {
    config.data.source = Some(data.source.clone());
    config.data.task = Some(data.task);
    if matches!(data.preprocessing.inputs, Inputs::Columns(_)) {
        let mut names: Vec<Column> = data.target_names.iter().cloned().map(Column::Name).collect();
        config.data.target = Some(if names.len() == 1 { Target::One(names.remove(0)) } else { Target::Many(names) });
    }
    config.loss.name.get_or_insert_with(|| losses::default_for(data.task).name.to_owned());
    if let Some(last) = config.model.layers.last_mut() {
        last.units = Some(data.outputs());
    }
}

/// What a row's loss is multiplied by: 1, or its class's weight.
#[derive(Debug, Clone, PartialEq)]
pub struct RowWeights {
    by_class: Option<Vec<f64>>,
}

impl RowWeights {
    /// Every row counts the same.
    pub fn unit() -> Self {
        RowWeights { by_class: None }
    }

    /// # Errors
    /// Weights for a target that has no classes, or another number of them.
    pub fn new(config: &Config, data: &Dataset) -> Result<Self> {
        let Some(wanted) = &config.loss.class_weights else { return Ok(RowWeights { by_class: None }) };
        if data.task == Task::Regression {
            return Err(Error::data("class weights need a target of classes").remedy("remove class_weights"));
        }
        let classes = data.classes.len();
        let by_class = match wanted {
            ClassWeights::List(list) if list.len() == classes => list.clone(),
            ClassWeights::List(list) => {
                return Err(Error::data(format!("{} class weights for {classes} classes", list.len()))
                    .remedy(format!("give one for each of {}", data.classes.join(", "))));
            }
            // As scikit-learn's "balanced": rows / (classes · rows of the class), over the training rows.
            ClassWeights::Named(_) => {
                let mut counts = vec![0usize; classes];
                data.split.train.iter().for_each(|&row| counts[data.targets[row as usize] as usize] += 1);
                let rows = data.split.train.len() as f64;
                counts.into_iter().map(|count| rows / (classes * count.max(1)) as f64).collect()
            }
        };
        Ok(RowWeights { by_class: Some(by_class) })
    }

    /// One weight a class, in class order, if rows are weighted: "balanced" as the numbers that it came to.
    pub fn resolved(&self) -> Option<ClassWeights> {
        self.by_class.clone().map(ClassWeights::List)
    }

    /// The weight of a data row, as f32 holds it.
    pub fn of(&self, data: &Dataset, row: u32) -> f64 {
        self.by_class.as_ref().map_or(1.0, |weights| f64::from(weights[data.targets[row as usize] as usize] as f32))
    }
}

/// Data rows in the order in which a device holds their numbers: training, validation, test; then those of no set.
pub fn order(data: &Dataset) -> Vec<u32> {
    let split = &data.split;
    let mut order: Vec<u32> = [&split.train, &split.validation, &split.test].into_iter().flatten().copied().collect();
    order.resize(data.rows, 0);
    order
}

/// Writes features, targets and row order; of a data set that is streamed, the first window.
///
/// # Errors
/// [`Error::Data`] if the data set's file cannot be read, [`Error::Device`] if the device fails.
pub fn load_data(executor: &mut dyn Executor, data: &Dataset, weights: &RowWeights) -> Result<()> {
    let plan = executor.plan();
    let (order_tensor, rows, order) = (plan.order, plan.data_rows(), order(data));
    if !plan.is_resident {
        let places: Vec<u32> = (0..rows as u32).collect();
        executor.write(order_tensor, 0, Values::U32(&places))?;
        return Feed::default().write(executor, data, weights, &order[..rows]);
    }
    for (block, first) in plan.features.clone() {
        load_block(executor, data, block, first)?;
    }
    let (targets, width) = (executor.plan().targets, data.target_columns());
    let mut with_weights = Vec::new();
    for (piece, values) in data.targets.chunks(PIECE_ROWS * width).enumerate() {
        let first = piece * PIECE_ROWS;
        with_weights.clear();
        for (row, target) in values.chunks_exact(width).enumerate() {
            with_weights.extend_from_slice(target);
            with_weights.push(weights.of(data, (first + row) as u32) as f32);
        }
        executor.write(targets, first, Values::F32(&with_weights))?;
    }
    executor.write(order_tensor, 0, Values::U32(&order))
}

/// Rows that are copied at a time.
const PIECE_ROWS: usize = 1 << 16;

/// Writes the rows of one block, the data set's from `first` on.
fn load_block(executor: &mut dyn Executor, data: &Dataset, block: TensorId, first: usize) -> Result<()> {
    let (rows, columns) = (executor.plan().tensor(block).rows, data.feature_columns());
    let range = first * columns..(first + rows) * columns;
    match &data.features {
        Features::F32 { values, .. } => return executor.write(block, 0, Values::F32(&values[range])),
        Features::U8 { values, .. } => return executor.write(block, 0, Values::U8(&values[range])),
        Features::Stored(_) => {}
    }
    let mut piece = Rows::default();
    let most = (Limits::WINDOW as usize / (4 * columns)).max(1);
    for start in (0..rows).step_by(most) {
        let numbers: Vec<u32> = (first + start..first + rows.min(start + most)).map(|row| row as u32).collect();
        data.features.copy(&numbers, &mut piece)?;
        match &piece {
            Rows::F32(values) => executor.write(block, start, Values::F32(values))?,
            Rows::U8(values) => executor.write(block, start, Values::U8(values))?,
        }
    }
    Ok(())
}

/// The weights that training starts from: drawn by the layers' initialisers, or those of `init_weights`.
pub fn start_weights(plan: &Plan, config: &Config) -> Result<Vec<(TensorId, Vec<f32>)>> {
    if let Some(path) = &config.init_weights {
        return weights::read(path, plan);
    }
    let mut start = Vec::new();
    for (i, parameter) in plan.parameters.iter().enumerate() {
        let generator = &mut random::generator(config.seed, Stream::Weights(i as u32));
        let mut values = parameter.start.draw(plan.tensor(parameter.weight).elements(), generator);
        values.iter_mut().for_each(|value| *value += parameter.offset);
        start.push((parameter.weight, values));
    }
    start.extend(plan.states.iter().map(|&(id, value)| (id, vec![value; plan.tensor(id).elements()])));
    Ok(start)
}

/// The optimizer's slots of a plan.
pub fn slots(plan: &Plan) -> Vec<TensorId> {
    plan.ids().filter(|&id| matches!(plan.tensor(id).role, Role::Slot(_))).collect()
}

/// Puts weights on the device and sets the optimizer's slots to zero.
pub fn write_weights(executor: &mut dyn Executor, weights: &[(TensorId, Vec<f32>)]) -> Result<()> {
    for (id, values) in weights {
        executor.write(*id, 0, Values::F32(values))?;
    }
    for slot in slots(executor.plan()) {
        let zeros = vec![0.0; executor.plan().tensor(slot).elements()];
        executor.write(slot, 0, Values::F32(&zeros))?;
    }
    Ok(())
}
