//! Training that runs away ends with a sentence, not with a file full of NaN.

use libtest_mimic::Failed;
use wgrad::Error;

use crate::subject::{Each, On, Subject, ensure, regression, split};
use crate::trainer;

pub const EACH: &[(&str, Each)] = &[
    ("a_loss_that_is_not_finite_is_an_error_with_a_remedy", diverges),
    ("weights_that_the_very_last_step_ruins_are_an_error_too", the_last_step),
    ("a_validation_loss_that_is_not_finite_is_an_error_too", validation),
];

const LAYERS: &str = "[model]\nlayers = [{ type = \"dense\", units = 8, activation = \"relu\" }, { type = \"dense\" }]";

fn ends_diverged(run: &str, shares: [usize; 3], on: On) -> Result<String, Failed> {
    let [train, validation, test] = shares;
    let subject = Subject::new(&format!("{LAYERS}\n{run}"), split(regression(40, 3, 1), train, validation, test));
    let end = trainer(&subject, on)?.fit(&mut |_| std::ops::ControlFlow::Continue(()));
    match end {
        Err(error @ Error::Diverged(_)) if error.exit_code() == 4 => Ok(error.to_string()),
        other => Err(format!("training ended with {other:?}").into()),
    }
}

fn diverges(on: On) -> Result<(), Failed> {
    let run = "[optimizer]\nname = \"sgd\"\nlearning_rate = 1e6\n[train]\nbatch_size = 8";
    let message = ends_diverged(run, [1, 0, 0], on)?;
    let words = ["the training loss of epoch 1 is not a finite number; ", "--lr 0.01", "clip_norm"];
    ensure(words.iter().all(|word| message.contains(word)), || message.clone())
}

/// One step in all: its loss was measured before the update that ruins the weights.
fn the_last_step(on: On) -> Result<(), Failed> {
    let run = "[optimizer]\nname = \"sgd\"\nlearning_rate = 3e38\n[train]\nepochs = 1\nbatch_size = 64";
    let message = ends_diverged(&format!("{run}\n[regularization]\nl2 = 1e10"), [1, 0, 0], on)?;
    ensure(message.starts_with("a weight after the last step is not a finite number; "), || message.clone())
}

fn validation(on: On) -> Result<(), Failed> {
    let run = "[optimizer]\nname = \"sgd\"\nlearning_rate = 1e25\n[train]\nepochs = 1\nbatch_size = 64";
    let message = ends_diverged(run, [3, 1, 0], on)?;
    ensure(message.starts_with("the validation loss of epoch 1 is not a finite number; "), || message.clone())
}
