//! Kernels and steps on the CPU path and on the best adapter: `cargo bench --bench steps`, or `-- gpu/784-128` for those
//! whose name contains it.
//!
//! Verified first, then timed: a network whose training step leaves the f64 reference's bounds ends the bench. A step is
//! one of many in a row, as in training; an op is timed by itself, launch included. Throughput is in multiplications and
//! additions.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use wgrad::bench::{self, Subject};
use wgrad::cpu::CpuExecutor;
use wgrad::device::{Chosen, Device};
use wgrad::error::Result;
use wgrad::model::tracked::Tracked;
use wgrad::plan::{Executor, Phase};
use wgrad::verify;

const NETWORKS: [(&str, usize); 4] =
    [("4-16-3", 16), ("784-128-64-10", 64), ("784-128-64-10", 256), ("784-512-512-10", 256)];

fn main() -> Result<()> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut devices = vec![Device::cpu().open()?];
    if wgrad::gpu::adapters()?.is_empty() {
        println!("no Vulkan, Metal or DX12 adapter was found: the CPU path only");
    } else {
        devices.push(Device::Gpu.open()?);
    }
    for chosen in &devices {
        for (layers, batch_size) in NETWORKS {
            network(&mut criterion, chosen, &Subject::parse(layers, batch_size, 42)?)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

/// Verifies a network on a device, then times its step and each op of it.
fn network(criterion: &mut Criterion, chosen: &Chosen, subject: &Subject) -> Result<()> {
    let data = subject.data()?;
    let plan = subject.plan(&data, chosen.max_binding())?;
    let mut executor = chosen.executor(plan.clone())?;
    let batch = bench::first_batch(subject);
    let mut reference = CpuExecutor::<Tracked>::new(plan.clone(), 1)?;
    let report = verify::network(executor.as_mut(), &mut reference, &subject.config(), &data, &[batch])?;
    report.verdict(&chosen.info().adapter)?;

    let name = format!("{}/{}/{}", chosen.info().device, subject.name(), subject.batch_size);
    let mut group = criterion.benchmark_group(name);
    let flops: Vec<u64> = plan.train.iter().map(|step| step.op.flops(&batch)).collect();
    group.throughput(Throughput::Elements(flops.iter().sum()));
    let mut trained = 0;
    group.bench_function("step", |bencher| {
        bencher.iter_custom(|steps| {
            trained += steps as usize;
            let batches = bench::batches(subject, &data, trained - steps as usize..trained).expect("Adam is known");
            timed(executor.as_mut(), |executor| executor.run(Phase::Train, &batches))
        });
    });
    for (step, flops) in flops.into_iter().enumerate() {
        group.throughput(Throughput::Elements(flops));
        group.bench_function(&plan.train[step].label, |bencher| {
            bencher.iter_custom(|dispatches| {
                timed(executor.as_mut(), |executor| {
                    (0..dispatches).try_for_each(|_| executor.run_step(Phase::Train, step, &batch))
                })
            });
        });
    }
    group.finish();
    Ok(())
}

/// Until the device is done.
fn timed(executor: &mut dyn Executor, work: impl Fn(&mut dyn Executor) -> Result<()>) -> Duration {
    let began = Instant::now();
    let done = work(executor).and_then(|()| executor.wait());
    let elapsed = began.elapsed();
    done.expect("a device that was verified goes on");
    elapsed
}
