//! Burn's side of the peer bench: the network of `wgrad bench`, written the way Burn's book writes a training loop.
//!
//!     cargo run --release --features wgpu -- --layers 784-128-64-10 --batch-size 64 --mode wgpu
//!
//! The mode is the backend: flex, or wgpu or vulkan with the feature of that name. `vulkan` changes what wgpu runs too, so
//! run.py makes a build of each.

#[path = "../../protocol.rs"]
mod protocol;

use std::time::Instant;

use burn::module::{Module, Param};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use protocol::{Layer, Outcome, Peer, Subject, Training};

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Linear>,
}

impl Network {
    fn new(start: &[Layer], device: &Device) -> Self {
        let layer = |layer: &Layer| {
            let mut linear = LinearConfig::new(layer.features, layer.units).init(device);
            let weight = TensorData::new(layer.transposed(), [layer.features, layer.units]);
            linear.weight = Param::from_data(weight, device);
            linear.bias = Some(Param::from_data(TensorData::new(layer.bias.clone(), [layer.units]), device));
            linear
        };
        Network { layers: start.iter().map(layer).collect() }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("a layer");
        last.forward(hidden.iter().fold(x, |x, layer| relu(layer.forward(x))))
    }
}

struct BurnTraining {
    device: Device,
    /// Each step consumes it and gives the next one.
    network: Option<Network>,
    optimizer: ModuleOptimizer,
    loss_of: CrossEntropyLoss,
    batches: Vec<(Tensor<2>, Tensor<1, Int>)>,
    next: usize,
    loss: Option<Tensor<1>>,
}

impl BurnTraining {
    fn new(subject: &Subject, device: Device) -> Outcome<Self> {
        let (columns, size) = (subject.layers[0], subject.batch_size);
        let batches = subject.x.chunks_exact(size * columns).zip(subject.y.chunks_exact(size));
        let batches = batches.map(|(x, y)| {
            let x = Tensor::from_data(TensorData::new(x.to_vec(), [size, columns]), &device);
            (x, Tensor::from_data(TensorData::new(y.to_vec(), [size]), &device))
        });
        Ok(BurnTraining {
            batches: batches.collect(),
            network: Some(Network::new(&subject.start()?, &device)),
            // Burn's own epsilon is 1e-5.
            optimizer: AdamConfig::new().with_epsilon(1e-8).init(),
            loss_of: CrossEntropyLossConfig::new().init(&device),
            next: 0,
            loss: None,
            device,
        })
    }
}

impl Training for BurnTraining {
    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            let (x, y) = self.batches[self.next % self.batches.len()].clone();
            let network = self.network.take().expect("a network");
            let loss = self.loss_of.forward(network.forward(x), y);
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            self.network = Some(self.optimizer.step(1e-3, network, gradients));
            self.loss = Some(loss.detach());
            self.next += 1;
        }
        self.device.sync().expect("the device goes on");
    }

    fn loss(&mut self) -> f32 {
        self.loss.clone().expect("a step").into_scalar()
    }
}

fn device(mode: &str) -> Outcome<Device> {
    match mode {
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(Default::default())),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(Default::default())),
        _ => Err(format!("{mode} is not in this build").into()),
    }
}

fn main() -> Outcome {
    let began = Instant::now();
    let subject = Subject::from_flags("flex")?;
    let mut training = BurnTraining::new(&subject, device(&subject.mode)?.autodiff())?;
    let peer = Peer { name: "burn", version: "0.22.1", backend: &subject.mode };
    protocol::measure(&peer, &subject.mode, &subject, &mut training, began);
    Ok(())
}
