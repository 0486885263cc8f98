//! A dispatch that is too much for one submit is cut by its workgroups; the network must not notice.

use libtest_mimic::Failed;
use wgrad::gpu::{Device, Options};
use wgrad::ops::Class;
use wgrad::plan::Phase;

use crate::device::Test;
use crate::subject::{On, Subject, classes, ensure, split};
use crate::train;

pub const GPU: &[(&str, Test)] = &[
    ("dispatches_that_are_cut_train_to_the_same_bits", same_bits),
    ("a_cut_that_begins_at_the_wrong_workgroup_is_seen", wrong_workgroup),
];

/// Several tiles a product, of every class of device, and of both sizes that the lanes of a software adapter have.
fn subject(class: Class, submit_flops: Option<u64>) -> Subject {
    let run = "[model]\nlayers = [{ type = \"dense\", units = 150, activation = \"tanh\" },
        { type = \"dense\", units = 90, activation = \"relu\" }, { type = \"dense\" }]
        [train]\nepochs = 2\nbatch_size = 100";
    let options = Options { class: Some(class), submit_flops, ..Options::default() };
    Subject { options, ..Subject::new(run, split(classes(260, 130, 3), 3, 1, 1)) }
}

/// So much to do that the products of a GPU bring their operands to shared memory.
fn wide(submit_flops: Option<u64>) -> Subject {
    let run = "[model]\nlayers = [{ type = \"dense\", units = 510, activation = \"tanh\" },
        { type = \"dense\", units = 512, activation = \"relu\" }, { type = \"dense\" }]
        [train]\nepochs = 1\nbatch_size = 500";
    let options = Options { class: Some(Class::Hardware), submit_flops, ..Options::default() };
    Subject { options, ..Subject::new(run, split(classes(500, 20, 3), 1, 0, 0)) }
}

fn same_bits(device: &Device) -> Result<(), Failed> {
    // What lanes need a device has only where they are its class.
    let all = [Class::Software, Class::SoftwareLanes, Class::Hardware];
    for class in all.into_iter().filter(|&class| class != Class::SoftwareLanes || class == device.class()) {
        // A few tiles, and less than one.
        let [whole, parts, tiles] = [None, Some(300_000), Some(1)].map(|flops| subject(class, flops));
        cut_to_the_same_bits(device, &[whole, parts, tiles])?;
    }
    cut_to_the_same_bits(device, &[None, Some(30_000_000), Some(1)].map(wide))
}

/// Trains whole, in parts and in single tiles.
fn cut_to_the_same_bits(device: &Device, [whole, parts, tiles]: &[Subject; 3]) -> Result<(), Failed> {
    let trained = train(whole, On::Gpu(device))?;
    let count = |subject: &Subject| -> Result<u64, Failed> {
        let mut executor = subject.executor(On::Gpu(device))?;
        subject.load(executor.as_mut())?;
        let rows = subject.config.train.batch_size;
        executor.run(Phase::Train, &[subject.batch(0, rows, 0)?])?;
        Ok(executor.counts().dispatches)
    };
    let (few, more, most) = (count(whole)?, count(parts)?, count(tiles)?);
    let class = whole.options.class;
    ensure(few == 8 && more > 12 && most > more, || format!("{class:?}: {few}, {more} and {most} dispatches"))?;
    for cut in [parts, tiles] {
        ensure(train(cut, On::Gpu(device))? == trained, || format!("{class:?}: other weights where it is cut"))?;
    }
    Ok(())
}

/// What a kernel would leave that took no notice of where its dispatch begins.
fn wrong_workgroup(device: &Device) -> Result<(), Failed> {
    let subject = subject(Class::Software, None);
    let output = |group: u32| -> Result<Vec<f32>, Failed> {
        let mut executor = subject.executor(On::Gpu(device))?;
        subject.load(executor.as_mut())?;
        let batch = wgrad::ops::Batch { group, ..subject.batch(0, 100, 0)? };
        executor.run_step(Phase::Train, 0, &batch)?;
        let id = executor.plan().find("layers.0.output").ok_or("there is a first layer")?;
        Ok(executor.read(id, 0..100)?)
    };
    let (whole, late) = (output(0)?, output(1)?);
    ensure(whole != late, || "the first workgroup's part is there without it".into())?;
    ensure(whole[1..].iter().zip(&late[1..]).filter(|(a, b)| a == b).count() > 1000, || "hardly a part is left".into())
}
