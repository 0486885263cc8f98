//! meganeura's side of the peer bench: the network of `wgrad bench` as its README writes one.
//!
//!     cargo run --release -- --layers 784-128-64-10 --batch-size 64 --mode tuned
//!
//! Modes: `default`, and `tuned`: its search for the fastest tiles, with all the time it takes, before the first step.
//! A session holds one batch, which is uploaded once: on the same rows again and again no step pays for an upload.

#[path = "../../protocol.rs"]
mod protocol;

use std::time::{Duration, Instant};

use meganeura::{Graph, Session, SessionConfig, TuneOptions, build};
use protocol::{Layer, Outcome, Peer, Subject, Training};

/// What its search may take.
const TUNING: Duration = Duration::from_secs(24);

struct Meganeura(Session);

impl Meganeura {
    fn new(subject: &Subject) -> Outcome<Self> {
        let (size, classes) = (subject.batch_size, subject.layers[subject.layers.len() - 1]);
        let start = subject.start()?;
        let mut session = build(&graph(&start, size), SessionConfig::default()).0;
        for (index, layer) in start.iter().enumerate() {
            session.set_parameter(&format!("weight{index}"), &layer.transposed());
            session.set_parameter(&format!("bias{index}"), &layer.bias);
        }
        session.set_input("x", &subject.x[..size * subject.layers[0]]);
        let mut targets = vec![0.0; size * classes];
        subject.y[..size].iter().enumerate().for_each(|(row, &class)| targets[row * classes + class as usize] = 1.0);
        session.set_input("targets", &targets);
        session.set_adam(1e-3, 0.9, 0.999, 1e-8);
        if subject.mode == "tuned" {
            let before = session.dispatch_pipeline_keys();
            let report =
                session.tune_with(TuneOptions { max_time: TUNING, max_classes: 64, ..TuneOptions::default() })?;
            let after = session.dispatch_pipeline_keys();
            let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            eprintln!(
                "its search took {:.1} s and changed {changed} of {} dispatches",
                report.elapsed.as_secs_f64(),
                after.len()
            );
        }
        Ok(Meganeura(session))
    }
}

fn graph(layers: &[Layer], batch_size: usize) -> Graph {
    let mut graph = Graph::new();
    let mut sums = graph.input("x", &[batch_size, layers[0].features]);
    for (index, layer) in layers.iter().enumerate() {
        let x = if index == 0 { sums } else { graph.relu(sums) };
        let weight = graph.parameter(&format!("weight{index}"), &[layer.features, layer.units]);
        let bias = graph.parameter(&format!("bias{index}"), &[layer.units]);
        let product = graph.matmul(x, weight);
        sums = graph.bias_add(product, bias);
    }
    let targets = graph.input("targets", &[batch_size, layers[layers.len() - 1].units]);
    let loss = graph.cross_entropy_loss(sums, targets);
    graph.set_outputs(vec![loss]);
    graph
}

impl Training for Meganeura {
    fn run(&mut self, steps: usize) {
        (0..steps).for_each(|_| self.0.step());
        self.0.wait();
    }

    fn loss(&mut self) -> f32 {
        self.0.read_loss()
    }
}

fn main() -> Outcome {
    let began = Instant::now();
    let subject = Subject::from_flags("default")?;
    let mut training = Meganeura::new(&subject)?;
    let adapter = training.0.device_information().device_name.clone();
    let peer = Peer { name: "meganeura", version: "0.3.0", backend: "vulkan" };
    protocol::measure(&peer, &adapter, &subject, &mut training, began);
    Ok(())
}
