//! A model that was written and opened again answers on every device as its trainer did.

use std::sync::Arc;

use libtest_mimic::Failed;
use wgrad::config::Config;
use wgrad::cpu::CpuExecutor;
use wgrad::data;
use wgrad::gpu::{GpuExecutor, Options};
use wgrad::plan::Executor;
use wgrad::train::{Set, weights};
use wgrad::trained::{Predictions, TrainedModel};

use crate::subject::{Each, On, Subject, ensure};
use crate::trainer;

pub const EACH: &[(&str, Each)] = &[("a_finished_model_answers_as_its_trainer_did", answers)];

fn executor(on: On, plan: Arc<wgrad::plan::Plan>) -> Result<Box<dyn Executor>, Failed> {
    Ok(match on {
        On::Cpu(threads) => Box::new(CpuExecutor::<f32>::new(plan, threads)?),
        On::Gpu(device) => Box::new(GpuExecutor::new(device, plan, Options::default())?),
    })
}

fn answers(on: On) -> Result<(), Failed> {
    let mut config = Config::default();
    config.data.source = Some("digits".into());
    config.data.split = [1.0, 0.0, 0.0];
    config.train.epochs = 1;
    // Small layers fit small bindings.
    config.model.layers.iter_mut().zip([16, 12]).for_each(|(layer, units)| layer.units = Some(units));
    let data = data::load(&config.data, config.seed)?;
    let subject = Subject { config, data, max_binding: 1 << 27, window: None, options: Default::default() };
    let mut trainer = trainer(&subject, on)?;
    trainer.fit(&mut |_| std::ops::ControlFlow::Continue(()))?;
    let own = trainer.evaluate(Set::Train)?.ok_or("there are training rows")?;
    let config = &subject.config;
    let preprocessing = &subject.data.preprocessing;
    let description = serde_json::json!({"model": config.model, "loss": config.loss, "preprocessing": preprocessing});
    let values = trainer.model_weights()?;
    let bytes = weights::to_bytes(trainer.executor().plan(), &values, &description)?;
    drop(trainer);

    let model = TrainedModel::from_bytes(&bytes)?;
    let rows = model.read("digits", true)?;
    let predict = |on: On, max_binding: u64| -> Result<Predictions, Failed> {
        let plan = Arc::new(model.plan(&rows, max_binding)?);
        Ok(model.predict(executor(on, plan)?.as_mut(), &rows)?)
    };
    let plan = Arc::new(model.plan(&rows, subject.max_binding)?);
    let (other, _) = model.evaluate(executor(on, plan)?.as_mut(), &rows)?;
    ensure(other.metrics == own.metrics, || format!("{:?}, the trainer had {:?}", other.metrics, own.metrics))?;
    // The same numbers, summed in another order.
    ensure((other.loss - own.loss).abs() <= 1e-6 * own.loss, || {
        format!("{}, the trainer had {}", other.loss, own.loss)
    })?;

    let reference = predict(On::Cpu(1), u64::MAX)?;
    // Small bindings: the rows lie in blocks and are answered in parts; smaller ones: they come window by window.
    let is_resident = |max_binding: u64| model.plan(&rows, max_binding).map(|plan| plan.is_resident);
    ensure(is_resident(32 << 10)? && !is_resident(8 << 10)?, || "the bindings are of another size".into())?;
    for max_binding in [subject.max_binding, 32 << 10, 8 << 10] {
        let answers = predict(on, max_binding)?;
        let distance = reference.values.iter().zip(&answers.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        ensure(answers.rows() == 1797 && distance <= 1e-4, || format!("{distance} from the CPU path"))?;
        ensure(answers.values.iter().all(|value| value.is_finite()), || "an answer is no number".into())?;
        ensure(answers.labels == reference.labels, || "other classes than on the CPU path".into())?;
    }
    Ok(())
}
