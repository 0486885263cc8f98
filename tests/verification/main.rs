//! `verify` on networks of every kind passes on every device, compares every number that a step writes, and finds
//! whatever is done to a device's results.

#[path = "../support/device.rs"]
mod device;
#[path = "../support/require.rs"]
mod require;
#[path = "../support/subject.rs"]
mod subject;

mod joined;
mod loops;
mod networks;
mod overrun;
mod random;
mod saboteur;
mod verdict;

use libtest_mimic::Failed;
use wgrad::cpu::CpuExecutor;
use wgrad::model::tracked::Tracked;
use wgrad::ops::Batch;

use subject::Subject;

/// The judge, loaded with the subject's data and weights.
fn reference(subject: &Subject) -> Result<CpuExecutor<Tracked>, Failed> {
    let mut reference = CpuExecutor::<Tracked>::new(subject.plan()?, 1)?;
    subject.load(&mut reference)?;
    Ok(reference)
}

/// The first full batch and the last one, as steps 0 and 1.
fn batches(subject: &Subject) -> Result<Vec<Batch>, Failed> {
    Ok(wgrad::verify::batches(&*subject.plan()?, &subject.config, &subject.data)?)
}

fn main() {
    let each = [networks::EACH, saboteur::EACH].concat();
    subject::main(
        &each,
        &[networks::GPU, overrun::GPU, joined::GPU, loops::GPU, random::GPU].concat(),
        &[verdict::PLAIN, random::PLAIN].concat(),
    )
}
