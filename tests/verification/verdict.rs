//! What people are told, word for word.

use libtest_mimic::Failed;
use wgrad::verify::{Comparison, Failure, Report};

use crate::subject::{Plain, ensure};

pub const PLAIN: &[(&str, Plain)] = &[
    ("a_report_without_a_fault_passes", passes),
    ("wrong_numbers_are_told_with_step_place_and_bound", wrong_numbers),
    ("of_several_wrong_steps_the_first_is_told", the_first),
    ("an_overwritten_tensor_is_told_by_name", overwritten),
    ("that_nothing_was_compared_is_told", nothing),
];

const REMEDY: &str = "; train with --device cpu, and report this with what `wgrad doctor` prints";

fn comparison(step: &str, failure: Option<Failure>) -> Comparison {
    Comparison {
        phase: "train",
        step: step.into(),
        tensor: format!("{step}.output"),
        rows: 8,
        compared: 24,
        largest_error: 1e-7,
        share_of_bound: 0.25,
        failure,
    }
}

fn failure(device: f64) -> Option<Failure> {
    Some(Failure { row: 3, column: 1, device, reference: 0.25, bound: 1.5e-6, count: 2 })
}

fn says(report: &Report, want: &str) -> Result<(), Failed> {
    let error = report.verdict("Some Adapter").err().ok_or("the report passed")?;
    ensure(!report.passed() && error.exit_code() == 7, || "passed() and verdict() contradict each other".into())?;
    let (got, want) = (error.to_string(), format!("Some Adapter: {want}{REMEDY}"));
    ensure(got == want, || format!("{got}\n{want}"))
}

fn passes() -> Result<(), Failed> {
    let report = Report { comparisons: vec![comparison("a", None), comparison("b", None)], overwritten: Vec::new() };
    ensure(report.passed() && report.compared() == 48, || format!("{} compared", report.compared()))?;
    Ok(report.verdict("Some Adapter")?)
}

fn wrong_numbers() -> Result<(), Failed> {
    let report =
        |device| Report { comparisons: vec![comparison("dense layers.0", failure(device))], ..Report::default() };
    let told = "`dense layers.0` wrote wrong numbers to dense layers.0.output: 2 of 24 numbers are outside their bound";
    says(&report(0.5), &format!("{told}, [3, 1] is 5e-1 instead of 2.5e-1 ± 1.5e-6"))?;
    says(&report(f64::NAN), &format!("{told}, [3, 1] is NaN instead of 2.5e-1 ± 1.5e-6"))?;
    says(&report(f64::INFINITY), &format!("{told}, [3, 1] is inf instead of 2.5e-1 ± 1.5e-6"))
}

fn the_first() -> Result<(), Failed> {
    let comparisons = vec![comparison("a", None), comparison("b", failure(1.0)), comparison("c", failure(2.0))];
    let told = "`b` wrote wrong numbers to b.output: 2 of 24 numbers are outside their bound";
    // Wrong numbers are told before what was overwritten: they say more.
    let report = Report { comparisons, overwritten: vec!["c.output".into()] };
    says(&report, &format!("{told}, [3, 1] is 1e0 instead of 2.5e-1 ± 1.5e-6"))
}

fn overwritten() -> Result<(), Failed> {
    let report = Report { comparisons: vec![comparison("a", None)], overwritten: vec!["w".into(), "x".into()] };
    says(&report, "something was written past the end of w")
}

fn nothing() -> Result<(), Failed> {
    says(&Report::default(), "nothing was compared")?;
    let empty = Comparison { compared: 0, ..comparison("a", None) };
    says(&Report { comparisons: vec![empty], ..Report::default() }, "nothing was compared")
}
