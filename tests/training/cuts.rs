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

/// Several tiles a product, of every class of device, and of both sizes that one has.
fn subject(class: Class, submit_flops: Option<u64>) -> Subject {
    let run = "[model]\nlayers = [{ type = \"dense\", units = 150, activation = \"tanh\" },
        { type = \"dense\", units = 90, activation = \"relu\" }, { type = \"dense\" }]
        [train]\nepochs = 2\nbatch_size = 100";
    let options = Options { class: Some(class), submit_flops, ..Options::default() };
    Subject { options, ..Subject::new(run, split(classes(260, 130, 3), 3, 1, 1)) }
}

fn same_bits(device: &Device) -> Result<(), Failed> {
    // What lanes need a device has only where they are its class.
    let all = [Class::Software, Class::SoftwareLanes, Class::Hardware];
    for class in all.into_iter().filter(|&class| class != Class::SoftwareLanes || class == device.class()) {
        // About two tiles, and less than one.
        let (whole, parts, tiles) = (subject(class, None), subject(class, Some(300_000)), subject(class, Some(1)));
        let trained = train(&whole, On::Gpu(device))?;
        let count = |subject: &Subject| -> Result<u64, Failed> {
            let mut executor = subject.executor(On::Gpu(device))?;
            subject.load(executor.as_mut())?;
            executor.run(Phase::Train, &[subject.batch(0, 100, 0)?])?;
            Ok(executor.counts().dispatches)
        };
        let (few, more, most) = (count(&whole)?, count(&parts)?, count(&tiles)?);
        ensure(few == 8 && more > 12 && most > more, || format!("{class:?}: {few}, {more} and {most} dispatches"))?;
        for cut in [&parts, &tiles] {
            ensure(train(cut, On::Gpu(device))? == trained, || format!("{class:?}: other weights where it is cut"))?;
        }
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
