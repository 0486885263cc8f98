//! What the commands on a finished run begin with: the model, the data, a device that runs the one on the other.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::flags::Shared;
use crate::data::Dataset;
use crate::device;
use crate::error::Result;
use crate::plan::{DeviceInfo, Executor};
use crate::trained::TrainedModel;

/// The arguments that name them.
#[derive(Debug, Args)]
pub(super) struct RunAndData {
    /// A run's folder, or a model.safetensors by itself
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// A .csv or .tsv (also .gz), an .npz, a folder of IDX files, a built-in name, or - for CSV from standard input
    #[arg(value_name = "DATA")]
    pub data: String,
}

/// A model on a device, beside the rows to run it on.
pub(super) struct Finished {
    pub model: TrainedModel,
    pub data: Dataset,
    pub executor: Box<dyn Executor>,
    pub info: DeviceInfo,
}

impl Finished {
    pub fn open(arguments: &RunAndData, shared: &Shared, need_targets: bool) -> Result<Self> {
        let model = TrainedModel::load(&arguments.run)?;
        let data = model.read(&arguments.data, need_targets)?;
        let (device, _) = device::choose(&shared.device, shared.threads())?;
        let plan = Arc::new(model.plan(&data, device.max_binding())?);
        Ok(Finished { executor: device.executor(plan)?, info: device.info(), model, data })
    }
}
