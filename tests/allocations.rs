//! After the first steps, training on the CPU allocates nothing. The allocator here counts for the whole process, so
//! this file holds one test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use wgrad::config::{Config, Layer};
use wgrad::cpu::CpuExecutor;
use wgrad::data::Dataset;
use wgrad::layers;
use wgrad::ops::Batch;
use wgrad::plan::{Executor, Phase};
use wgrad::train::setup::{self, RowWeights};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of `calls` calls of `run` with full batches and a short one each, after two to warm up.
fn allocations(config: &Config, data: &Dataset, threads: usize, calls: usize) -> u64 {
    let plan = layers::compile(config, setup::shape(data), 1 << 30).unwrap();
    let mut executor = CpuExecutor::<f32>::new(plan.into(), threads).unwrap();
    setup::load_data(&mut executor, data, &RowWeights::new(config, data).unwrap()).unwrap();
    let start = setup::start_weights(executor.plan(), config).unwrap();
    setup::write_weights(&mut executor, &start).unwrap();
    let size = config.train.batch_size;
    let batches: Vec<Batch> = [(0, size), (size, size), (2 * size, size / 2 + 1)]
        .into_iter()
        .map(|(first, count)| Batch {
            first: first as u32,
            count: count as u32,
            slot: 0,
            scale: 1.0 / count as f32,
            learning_rate: 1e-3,
            correction1: 1.0,
            correction2: 1.0,
            counter: first as u32,
            group: 0,
        })
        .collect();
    for _ in 0..2 {
        executor.run(Phase::Train, &batches).unwrap();
        executor.run(Phase::Evaluate, &batches).unwrap();
    }
    let mut counted = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..calls {
            executor.run(Phase::Train, &batches).unwrap();
            executor.run(Phase::Evaluate, &batches).unwrap();
        }
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    // On a busy machine a thread may begin, which allocates, long after it was made; what a step allocates shows each time.
    (0..3).map(|_| counted()).min().unwrap_or(u64::MAX)
}

fn classes(columns: usize) -> Dataset {
    let rows = 192;
    let features = (0..rows * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    Dataset::of_classes("made up", features, columns, (0..rows).map(|i| (i % 10) as f32).collect(), 10).unwrap()
}

#[test]
fn training_steps_allocate_nothing_after_the_first_ones() {
    let dense = |units, activation: &str| Layer::dense(Some(units), activation);
    let layer = |kind: &str| Layer { kind: kind.into(), rate: (kind == "dropout").then_some(0.25), ..dense(1, "relu") };
    let plain = Config::default();
    let mut wide = plain.clone();
    wide.model.layers = vec![dense(256, "relu"), dense(64, "gelu"), Layer::dense(None, "identity")];
    let mut all = plain;
    all.model.layers = vec![
        dense(200, "tanh"),
        Layer { units: None, activation: None, ..layer("dropout") },
        dense(48, "silu"),
        Layer { units: None, activation: None, ..layer("batch_norm") },
        Layer::dense(None, "softmax"),
    ];
    all.loss.name = Some("mse".into());
    all.optimizer.name = "rmsprop".into();
    all.regularization.l2 = 1e-3;
    all.regularization.clip_norm = Some(1.0);
    all.regularization.clip_value = Some(0.5);
    let data = classes(300);
    for (name, mut config) in [("wide", wide), ("all", all)] {
        config.train.batch_size = 72;
        for threads in [1, 4] {
            let counted = allocations(&config, &data, threads, 70);
            assert_eq!(counted, 0, "{name} on {threads} threads");
        }
    }
    // That the allocator counts at all.
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drop(std::hint::black_box(vec![1u8; 100]));
    assert!(ALLOCATIONS.load(Ordering::Relaxed) > before);
}
