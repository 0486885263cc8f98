//! What the commands that take a run file begin with: configuration, data, device, plan.

use std::path::Path;
use std::sync::Arc;

use super::flags::{Overrides, RunFlags, Shared};
use super::print::Printer;
use crate::bench::Crossover;
use crate::config::{Config, Loaded};
use crate::data::{self, Dataset, Fold};
use crate::device::{self, Chosen};
use crate::error::{Error, Result};
use crate::layers::{self, Keyed};
use crate::plan::{DeviceInfo, Executor, Plan, grouped};
use crate::train::setup;
use crate::verify::Report;

/// Everything that is settled before a device works.
pub(super) struct Project {
    pub loaded: Loaded,
    pub data: Dataset,
    pub device: Chosen,
    pub plan: Arc<Plan>,
    /// Why `--device auto` chose it; empty if it was named.
    why_device: String,
    /// Of the CPU path, if that is taken.
    threads: usize,
}

impl Project {
    /// Loads run file and data, opens the device, compiles the plan. `fallback` is the data where none is named.
    /// Says nothing yet: until all is checked, an error is the only thing worth reading.
    pub fn open(flags: &RunFlags, shared: &Shared, overrides: &Overrides, fallback: Option<&str>) -> Result<Self> {
        Project::open_with(flags, shared, overrides, fallback, &|config| data::load(&config.data, config.seed))
    }

    /// As [`Project::open`], with the data of one fold of a cross-validation.
    pub fn open_fold(flags: &RunFlags, shared: &Shared, overrides: &Overrides, fold: Fold) -> Result<Self> {
        let load = |config: &Config| data::load_fold(&config.data, config.seed, fold);
        Project::open_with(flags, shared, overrides, None, &load)
    }

    fn open_with(
        flags: &RunFlags,
        shared: &Shared,
        overrides: &Overrides,
        fallback: Option<&str>,
        load: &dyn Fn(&Config) -> Result<Dataset>,
    ) -> Result<Self> {
        let mut loaded = overrides.load(flags, shared)?;
        if loaded.config.data.source.is_none() {
            let Some(fallback) = fallback else {
                return Err(Error::usage("no data is named")
                    .at("DATA")
                    .remedy("try `wgrad train digits`, or name a CSV, an NPZ or a folder of images"));
            };
            loaded.config.data.source = Some(fallback.to_owned());
        }
        let data = load(&loaded.config).map_err(|error| as_typed(relocate(&loaded, error), flags.data.as_deref()))?;
        let (device, why_device) = device::choose(&shared.device, shared.threads())?;
        let shape = setup::shape(&data);
        let plan = layers::compile_within(&loaded.config, shape, device.limits(&shape))
            .map_err(|(key, error)| loaded.locate(&key, error))?;
        setup::settle(&mut loaded.config, &data);
        Ok(Project { loaded, data, device, plan: Arc::new(plan), why_device, threads: shared.threads() })
    }

    /// Puts another fold's data in place of this one's.
    pub fn next_fold(&mut self, fold: Fold) -> Result<()> {
        let data = data::load_fold(&self.config().data, self.config().seed, fold)?;
        if data.checksum != self.data.checksum {
            return Err(Error::data("the data has changed meanwhile").at(&data.source).remedy("start again"));
        }
        self.data = data;
        self.compile().map_err(|keyed| self.locate(keyed))
    }

    /// Puts another configuration in place of this one, for the same data and device.
    pub fn reconfigure(&mut self, config: Config) -> Keyed<()> {
        self.loaded.config = config;
        self.compile()?;
        setup::settle(&mut self.loaded.config, &self.data);
        Ok(())
    }

    fn compile(&mut self) -> Keyed<()> {
        let shape = setup::shape(&self.data);
        let plan = layers::compile_within(self.config(), shape, self.device.limits(&shape))?;
        self.plan = Arc::new(plan);
        Ok(())
    }

    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// An executor on the CPU path, whatever device was chosen.
    pub fn cpu_executor(&self) -> Result<Box<dyn Executor>> {
        Chosen::Cpu { threads: self.threads }.executor(self.plan.clone())
    }

    /// What was found and what is going to work on it.
    pub fn announce(&self, printer: &Printer) {
        let (data, plan) = (&self.data, &self.plan);
        data.notes.iter().for_each(|note| printer.say(note));
        let rows = |rows: usize| grouped(rows as u64);
        let features = data.feature_columns();
        printer.say(format!(
            "{}: {} rows to train on, {} to validate, {} to test; {} feature{}",
            data.name,
            rows(data.split.train.len()),
            rows(data.split.validation.len()),
            rows(data.split.test.len()),
            rows(features),
            if features == 1 { "" } else { "s" }
        ));
        printer.say(format!("model: {}", self.model()));
        printer.say(format!("device: {}{}", self.device.info().adapter, self.why_device));
        let is_automatic = !self.why_device.is_empty();
        let crossover = Crossover::estimate(plan, self.threads);
        if let Some(advice) = advice(is_automatic, &self.device.info(), crossover, &self.sizes(), plan.batch_size) {
            printer.note(advice);
        }
        if !plan.is_resident {
            printer.say(format!("the data set is streamed to it in windows of {} rows", rows(plan.data_rows())));
        }
    }

    /// Layer sizes, parameters and dispatches in words.
    pub fn model(&self) -> String {
        format!(
            "{}, {} parameters, {}",
            self.sizes(),
            grouped(self.plan.parameter_count() as u64),
            match self.device.joins(&self.plan) {
                true => "many steps a dispatch".to_owned(),
                false => format!("{} dispatches a step", self.plan.train.len()),
            }
        )
    }

    /// Features and the units of each layer, as `bench --layers` takes them.
    fn sizes(&self) -> String {
        let units = self.config().model.layers.iter().filter_map(|layer| layer.units);
        let sizes = std::iter::once(self.data.feature_columns()).chain(units);
        sizes.map(|size| size.to_string()).collect::<Vec<_>>().join("-")
    }

    /// Puts the flag or the line of the run file onto a fault with a key.
    pub fn locate(&self, (key, error): (String, Error)) -> Error {
        if key.is_empty() { error } else { self.loaded.locate(&key, error) }
    }

    /// Checks every step against the f64 reference on a full batch and on the short last one.
    pub fn verify(&self) -> Result<Report> {
        self.device.verify(&self.plan, self.config(), &self.data)
    }
}

/// One line where `--device auto` took a hardware GPU and the CPU path is estimated to be faster for this network.
fn advice(
    is_automatic: bool,
    device: &DeviceInfo,
    crossover: Crossover,
    sizes: &str,
    batch_size: usize,
) -> Option<String> {
    let is_hardware = device.device == "gpu" && !device.software;
    let millions = |flops: u64| format!("{:.1}", flops as f64 / 1e6);
    (is_automatic && is_hardware && crossover.favours_cpu()).then(|| {
        format!(
            "for this network --device cpu may be faster: about {} MFLOP a step, and a GPU is estimated to pay from {} on; \
             measure with `wgrad bench --layers {sizes} --batch-size {batch_size}`",
            millions(crossover.flops),
            millions(crossover.gpu_from)
        )
    })
}

/// A fault of the data that names a key of the run file is placed there.
fn relocate(loaded: &Loaded, error: Error) -> Error {
    match error.fault().place.clone() {
        Some(key) if key.starts_with("data.") => loaded.locate(&key, error),
        _ => error,
    }
}

/// A relative path the way it was typed rather than the absolute one that it stands for.
fn as_typed(error: Error, typed: Option<&str>) -> Error {
    let Some(typed) = typed.map(Path::new).filter(|typed| typed.is_relative()) else { return error };
    let Ok(absolute) = std::path::absolute(typed) else { return error };
    let (typed, absolute) = (typed.display().to_string(), absolute.display().to_string());
    let Some(rest) = error.fault().place.as_ref().and_then(|place| place.strip_prefix(&absolute)) else { return error };
    let place = format!("{typed}{rest}");
    error.at(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(device: &'static str, software: bool) -> DeviceInfo {
        DeviceInfo { device, adapter: "some".into(), driver: "some".into(), software, shares_memory: software }
    }

    #[test]
    fn a_small_network_on_an_automatic_gpu_is_told_about_the_cpu_path() {
        let small = Crossover { flops: 3_300_000, gpu_from: 4_000_000 };
        let told = advice(true, &device("gpu", false), small, "4-128-64-3", 64).unwrap();
        assert_eq!(
            told,
            "for this network --device cpu may be faster: about 3.3 MFLOP a step, and a GPU is estimated to pay from 4.0 on; \
             measure with `wgrad bench --layers 4-128-64-3 --batch-size 64`"
        );
    }

    #[test]
    fn nothing_is_said_of_large_networks_named_devices_and_what_is_no_hardware_gpu() {
        let small = Crossover { flops: 3, gpu_from: 4 };
        let large = Crossover { flops: 4, gpu_from: 4 };
        assert_eq!(advice(true, &device("gpu", false), large, "4-3", 1), None);
        assert_eq!(advice(false, &device("gpu", false), small, "4-3", 1), None);
        assert_eq!(advice(true, &device("gpu", true), small, "4-3", 1), None);
        assert_eq!(advice(true, &device("cpu", false), small, "4-3", 1), None);
    }
}
