//! Training steps of tiny networks, many in one dispatch: they give the numbers of the single kernels to the bit, on
//! both sizes of workgroup and with the device's bounds checks, write nowhere else, and are verified as a whole: an op,
//! a step or a batch that is left out or mistaken is found.

use std::collections::BTreeSet;
use std::ops::Range;

use libtest_mimic::Failed;
use wgrad::gpu::{Device, GPU_THREADS, GpuExecutor, Options, VECTOR, join};
use wgrad::ops::{Batch, Class, TensorId};
use wgrad::plan::{Counts, DeviceInfo, Executor, Phase, Plan, Role, Values};
use wgrad::verify::{self, Failure, Report};

use crate::device::Test;
use crate::networks::{expected, networks};
use crate::subject::{Subject, binary, classes, ensure};
use crate::{batches, reference};

pub const GPU: &[(&str, Test)] = &[
    ("joined_steps_give_the_bits_of_single_kernels_and_are_verified", same_bits),
    ("joined_steps_compare_a_count_known_from_the_shapes", counted),
    ("a_fault_in_the_joined_kernel_is_found", faults),
    ("numbers_that_joined_steps_do_not_give_are_wrong", short_reads),
    ("no_joined_step_loops_more_often_than_its_ops_say", loops),
    ("a_network_that_is_not_tiny_runs_its_ops_by_themselves", not_tiny),
];

fn executor(device: &Device, subject: &Subject, options: Options) -> Result<GpuExecutor, Failed> {
    let mut executor = GpuExecutor::new(device, subject.plan()?, options)?;
    subject.load(&mut executor)?;
    Ok(executor)
}

/// Every number that steps leave, as bits.
fn bits(executor: &mut GpuExecutor) -> Result<Vec<(String, Vec<u32>)>, Failed> {
    let plan: Vec<_> = executor.plan().ids().map(|id| (id, executor.plan().tensor(id).clone())).collect();
    let mut all = Vec::new();
    for (id, tensor) in plan.into_iter().filter(|(_, tensor)| tensor.role != Role::Features) {
        all.push((tensor.name, executor.read(id, 0..tensor.rows)?.into_iter().map(f32::to_bits).collect()));
    }
    Ok(all)
}

/// The batches one after the other, each with places of its own in the results, again and again.
fn many(batches: &[Batch], count: usize) -> Vec<Batch> {
    let place = |i: usize| Batch { counter: i as u32, ..batches[i % batches.len()] };
    (0..count).map(place).collect()
}

fn same_bits(device: &Device) -> Result<(), Failed> {
    let mut ops = BTreeSet::new();
    for (i, (name, subject)) in networks().into_iter().enumerate() {
        let named = |what: String| format!("{name}: {what}");
        let hardware = Options { class: Some(Class::Hardware), ..Options::default() };
        let checked = Options { checked: true, ..Options::default() };
        // Compiling takes most of the time: each network one way beside the usual one.
        for options in [Options::default(), if i % 2 == 0 { hardware } else { checked }] {
            let mut joined = executor(device, &subject, options)?;
            if joined.joined_steps().is_none() {
                continue;
            }
            let plan = subject.plan()?;
            ops.extend(plan.train.iter().map(|step| step.op.name()));
            let steps = many(&batches(&subject)?, 5);
            let before = joined.counts();
            joined.run(Phase::Train, &steps)?;
            let after = joined.counts();
            let launched = (after.dispatches - before.dispatches, after.submits - before.submits);
            ensure(launched == (1, 1), || named(format!("{launched:?} dispatches and submits for 5 steps")))?;
            let mut single = executor(device, &subject, Options { single: true, class: Some(Class::Tiny), ..options })?;
            single.run(Phase::Train, &steps)?;
            for ((tensor, got), (_, want)) in bits(&mut joined)?.iter().zip(&bits(&mut single)?) {
                ensure(got == want, || named(format!("{tensor} is not what single kernels make of it, {options:?}")))?;
            }
            let report = verify::verify(&mut joined, &mut reference(&subject)?, &batches(&subject)?)?;
            report.verdict("this device").map_err(|error| named(format!("{error}, {options:?}")))?;
        }
    }
    // Fewer would mean that networks no longer count as tiny.
    ensure(ops.len() >= 7, || format!("only {ops:?} were joined"))
}

/// What several steps in one dispatch leave: all that stays, and their rows of the results.
fn left(plan: &Plan, rows: usize) -> usize {
    let stays = |role| matches!(role, Role::Parameter | Role::Slot(_));
    let kept: usize = plan.tensors.iter().filter(|tensor| stays(tensor.role)).map(|tensor| tensor.elements()).sum();
    kept + 2 * rows
}

fn small() -> Subject {
    let run = r#"
        model.layers = [{ type = "dense", units = 5, activation = "tanh" }, { type = "dense" }]
        train.batch_size = 16"#;
    Subject::new(run, classes(41, 5, 3))
}

fn counted(device: &Device) -> Result<(), Failed> {
    let subject = small();
    let (plan, batches) = (subject.plan()?, batches(&subject)?);
    let report =
        verify::verify(&mut executor(device, &subject, Options::default())?, &mut reference(&subject)?, &batches)?;
    let got: usize = report.comparisons.iter().filter(|c| c.phase == "joined").map(|c| c.compared).sum();
    // Each op of each batch, as by itself, and then all batches together.
    let rows: Vec<usize> = batches.iter().map(|batch| batch.count as usize).collect();
    let alone: usize = rows.iter().map(|&rows| expected(&plan, Phase::Train, rows)).sum();
    let steps = join(&plan, VECTOR)?.map_or(0, |joined| joined.batches);
    // Each step has places of its own in the results, from the first one on again where there is no more room.
    let room = plan.tensor(plan.results).rows;
    let (mut end, mut most) = (0, 0);
    for rows in rows.iter().cycle().take(steps) {
        end = if end + rows <= room { end + rows } else { *rows };
        most = most.max(end);
    }
    let want = alone + left(&plan, most);
    ensure(batches.len() == 2 && steps > 100 && report.passed() && got == want, || {
        format!("{got} compared, {want} expected")
    })
}

/// What is wrong with the kernel, and how it is made so.
type Fault = (&'static str, fn(&str) -> String);

/// The kernel without the call of one of its ops.
fn without<const OP: usize>(source: &str) -> String {
    changed(source, &format!("op{OP}_main(vec3(first"), &format!("//{OP}("))
}

fn changed(source: &str, what: &str, by: &str) -> String {
    assert!(source.contains(what), "the sabotage needs `{what}`");
    source.replace(what, by)
}

fn first_params(source: &str) -> String {
    changed(source, "= table[batch].params", "= table[0u].params")
}

fn one_step_less(source: &str) -> String {
    changed(source, "batch < call.batches", "batch + 1u < call.batches")
}

fn fifty_steps_only(source: &str) -> String {
    changed(source, "batch < call.batches", "batch < min(call.batches, 50u)")
}

fn one_step_only(source: &str) -> String {
    changed(source, "batch < call.batches", "batch < min(call.batches, 1u)")
}

fn another_place(source: &str) -> String {
    let used = source.lines().find(|line| line.contains("_vectors[") && line.contains("] = ")).unwrap_or_default();
    let (before, after) = used.split_once("u + ").expect("a tensor has a place in its buffer");
    changed(source, used, &format!("{before}u + 1u + {after}"))
}

fn report(device: &Device, subject: &Subject, spoil: Option<fn(&str) -> String>) -> Result<Report, Failed> {
    let mut executor = executor(device, subject, Options { spoil, ..Options::default() })?;
    ensure(executor.joined_steps().is_some(), || "the network is tiny".to_owned())?;
    Ok(verify::verify(&mut executor, &mut reference(subject)?, &batches(subject)?)?)
}

fn faults(device: &Device) -> Result<(), Failed> {
    let subject = small();
    report(device, &subject, None)?.verdict("without a fault")?;
    let faults: [Fault; 11] = [
        ("op 0 left out", without::<0>),
        ("op 1 left out", without::<1>),
        ("op 2 left out", without::<2>),
        ("op 3 left out", without::<3>),
        ("op 4 left out", without::<4>),
        ("op 5 left out", without::<5>),
        ("every batch as the first", first_params),
        ("one step less", one_step_less),
        ("fifty steps only", fifty_steps_only),
        ("one step only", one_step_only),
        ("a tensor in another place", another_place),
    ];
    ensure(subject.plan()?.train.len() == 6, || "every op is left out once".to_owned())?;
    for (what, spoil) in faults {
        let report = report(device, &subject, Some(spoil))?;
        let found = report.failures().next().ok_or_else(|| format!("{what}: it passed"))?;
        ensure(found.phase == "joined", || format!("{what}: found as {found:?}"))?;
        let error = report.verdict("this device").err().ok_or_else(|| format!("{what}: it passed"))?;
        let (code, message) = (error.exit_code(), error.to_string());
        ensure(code == 7 && message.contains("`, joined with others, wrote wrong numbers"), || message.clone())?;
    }
    Ok(())
}

/// Gives the optimizer's slots without their last number once it has run several steps at a time.
struct Short {
    inner: GpuExecutor,
    has_run_many: bool,
}

impl Executor for Short {
    fn info(&self) -> &DeviceInfo {
        self.inner.info()
    }
    fn plan(&self) -> &Plan {
        self.inner.plan()
    }
    fn write(&mut self, tensor: TensorId, first: usize, values: Values) -> wgrad::Result<()> {
        self.inner.write(tensor, first, values)
    }
    fn read_into(&mut self, tensor: TensorId, rows: Range<usize>, values: &mut Vec<f32>) -> wgrad::Result<()> {
        self.inner.read_into(tensor, rows, values)?;
        if self.has_run_many && matches!(self.plan().tensor(tensor).role, Role::Slot(_)) {
            values.pop();
        }
        Ok(())
    }
    fn run(&mut self, phase: Phase, batches: &[Batch]) -> wgrad::Result<()> {
        self.has_run_many |= batches.len() > 1;
        self.inner.run(phase, batches)
    }
    fn joined_steps(&self) -> Option<usize> {
        self.inner.joined_steps()
    }
    fn run_step(&mut self, phase: Phase, step: usize, batch: &Batch) -> wgrad::Result<()> {
        self.inner.run_step(phase, step, batch)
    }
    fn wait(&mut self) -> wgrad::Result<()> {
        self.inner.wait()
    }
    fn counts(&self) -> Counts {
        self.inner.counts()
    }
}

fn short_reads(device: &Device) -> Result<(), Failed> {
    let subject = small();
    let mut short = Short { inner: executor(device, &subject, Options::default())?, has_run_many: false };
    let report = verify::verify(&mut short, &mut reference(&subject)?, &batches(&subject)?)?;
    let slots = subject.plan()?.tensors.iter().filter(|tensor| matches!(tensor.role, Role::Slot(_))).count();
    let missing = |failure: &Failure| failure.count == 1 && failure.device.is_nan();
    let found = report.failures().filter(|c| c.phase == "joined" && c.failure.as_ref().is_some_and(missing)).count();
    ensure(slots > 0 && found == slots, || format!("of {slots} missing numbers {found} are found"))
}

/// The kernel that counts the iterations of all loops, the one that leaves a loop included, and ends by writing them to
/// the first rows of the results, an invocation each, with [`MARK`] beside them.
fn counting(source: &str) -> String {
    // `results[p.slot + m] = …` of `loss`, the only op whose rows are called m and are one vec4.
    let row = |line: &&str| line.contains("_vectors[0u + (") && line.contains(" + m)] = ");
    let results =
        source.lines().find(row).and_then(|line| line.trim().split_once('[')).map(|(name, _)| name.to_owned());
    let mut counting = String::from("var<private> rounds: u32;\n");
    for line in source.lines() {
        let is_for = line.trim().starts_with("for (");
        if is_for {
            counting += "rounds += 1u;\n";
        }
        counting = counting + line + "\n";
        if is_for || line.trim() == "loop {" {
            counting += "rounds += 1u;\n";
        }
    }
    let end = counting.trim_end().strip_suffix('}').expect("`main` is the last function").to_owned();
    let results = results.expect("the loss writes its results");
    format!("{end}    {results}[lane] = vec4(f32(rounds), {MARK}.0, 0.0, 0.0);\n}}\n")
}

const MARK: u32 = 12_345;

fn loops(device: &Device) -> Result<(), Failed> {
    const STEPS: usize = 3;
    let mut joined = 0;
    for (name, subject) in networks() {
        let plan = subject.plan()?;
        let mut executor = executor(device, &subject, Options { spoil: Some(counting), ..Options::default() })?;
        if executor.joined_steps().is_none() {
            continue;
        }
        let threads = if device.class() == Class::Hardware { GPU_THREADS } else { VECTOR };
        let told = join(&plan, threads)?.map_or(0, |joined| joined.iterations) * STEPS as u64 + 1;
        executor.run(Phase::Train, &[batches(&subject)?[0]; STEPS])?;
        let written = executor.read(plan.results, 0..threads as usize)?;
        let counts: Vec<u64> = written.chunks(2).map(|row| row[0] as u64).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        println!("    {name}: {most} of {told}");
        ensure(written.chunks(2).all(|row| row[1] == MARK as f32), || format!("{name}: {written:?} is no count"))?;
        ensure((told / 3..=told).contains(&most), || format!("{name}: {most} iterations, its ops say {told}"))?;
        joined += 1;
    }
    ensure(joined >= 9, || format!("only {joined} networks were joined"))
}

fn not_tiny(device: &Device) -> Result<(), Failed> {
    let run = |units: usize, more: &str| {
        let layers =
            format!("[{{ type = \"dense\", units = {units}, activation = \"relu\" }}, {{ type = \"dense\" }}]");
        Subject::new(&format!("model.layers = {layers}\ntrain.batch_size = 16\n{more}"), binary(40, 4))
    };
    for (subject, joins) in [
        (run(8, ""), true),
        (run(800, ""), false),
        // `norm` adds up within a workgroup.
        (run(8, "regularization.clip_norm = 1.0"), false),
    ] {
        let mut executor = executor(device, &subject, Options::default())?;
        let (before, steps) = (executor.counts().dispatches, many(&batches(&subject)?, 3));
        executor.run(Phase::Train, &steps)?;
        let (dispatches, ops) = (executor.counts().dispatches - before, executor.plan().train.len() as u64);
        let want = if joins { 1 } else { 3 * ops };
        let told = device.joins(&*subject.plan()?);
        ensure((executor.joined_steps().is_some(), told, dispatches) == (joins, joins, want), || {
            format!("{dispatches} dispatches for 3 steps of {ops} ops, {want} expected")
        })?;
    }
    Ok(())
}
