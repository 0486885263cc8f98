//! Adapters that run shaders on the processor may end long loops without a word. What loops as long as they let it is
//! right, and what would loop longer is refused.

use libtest_mimic::Failed;
use wgrad::gpu::{Device, GpuExecutor, ITERATIONS, Options};
use wgrad::ops::Class;
use wgrad::verify;

use crate::device::Test;
use crate::subject::{Subject, classes, ensure, regression};
use crate::{batches, reference};

pub const GPU: &[(&str, Test)] = &[
    ("the_longest_loops_over_a_batch_are_right", |device| longest(device, batch)),
    ("the_longest_loops_of_batch_norm_are_right", |device| longest(device, batch_norm)),
    ("the_longest_loops_over_classes_are_right", |device| longest(device, outputs)),
    ("the_longest_loops_over_features_are_right", |device| longest(device, features)),
];

fn batch(rows: usize) -> Subject {
    let run = format!(
        "model.layers = [{{ type = \"dense\", units = 5, activation = \"relu\" }}, {{ type = \"dense\" }}]
        train.batch_size = {rows}"
    );
    Subject::new(&run, classes(rows, 3, 2))
}

fn batch_norm(rows: usize) -> Subject {
    let run = format!(
        "model.layers = [
            {{ type = \"dense\", units = 5, activation = \"relu\" }}, {{ type = \"dropout\", rate = 0.2 }},
            {{ type = \"batch_norm\" }}, {{ type = \"dense\" }}]
        train.batch_size = {rows}"
    );
    Subject::new(&run, classes(rows, 3, 2))
}

fn outputs(count: usize) -> Subject {
    let run = r#"
        model.layers = [{ type = "dense", activation = "softmax" }]
        loss.name = "mse"
        train.batch_size = 8"#;
    Subject::new(run, classes(count.max(8), 2, count))
}

fn features(columns: usize) -> Subject {
    Subject::new("model.layers = [{ type = \"dense\" }]\ntrain.batch_size = 4", regression(8, columns, 1))
}

fn longest(device: &Device, of: fn(usize) -> Subject) -> Result<(), Failed> {
    if device.class() == Class::Hardware {
        return Ok(());
    }
    for class in [Class::SoftwareLanes, Class::Software] {
        if class == Class::SoftwareLanes && device.class() != class {
            continue;
        }
        let fits = |size: usize| Ok::<_, Failed>(of(size).plan()?.check_loops(ITERATIONS, |_| class).is_ok());
        let (mut most, mut beyond) = (1000, 400_000);
        while beyond - most > 1 {
            let middle = (most + beyond) / 2;
            *(if fits(middle)? { &mut most } else { &mut beyond }) = middle;
        }
        println!("    {class:?}: {most}");
        let options = Options { class: Some(class), ..Options::default() };
        let subject = of(most);
        let mut executor = GpuExecutor::new(device, subject.plan()?, options)?;
        subject.load(&mut executor)?;
        let report = verify::verify(&mut executor, &mut reference(&subject)?, &batches(&subject)?)?;
        // A loss of one large and thousands of equal small numbers is rounded the same way at each of them, which bounds of
        // sums leave out of account.
        let wrong = report.failures().find(|wrong| subject.data.classes.len() < 5000 || wrong.tensor != "results");
        ensure(wrong.is_none() && !report.comparisons.is_empty(), || format!("{most}: {wrong:?}"))?;
        let refused = GpuExecutor::new(device, of(beyond).plan()?, options).err();
        let text = refused.ok_or_else(|| format!("{beyond} is not refused"))?.to_string();
        ensure(text.contains("may end loops after 65534 without an error") && text.contains("--device cpu"), || text)?;
    }
    Ok(())
}
