//! wgrad trains neural networks with WGSL compute shaders and proves the results against a CPU reference.
//!
//! A program builds a network as in Keras' Sequential, from arrays or files:
//!
//! ```
//! use ndarray::array;
//! use wgrad::{Sequential, Source, TrainedModel};
//!
//! let x = array![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
//! let y = [false, true, true, false]; // exclusive or
//! let data = Source::arrays(&x, &y).split([1.0, 0.0, 0.0]).load()?;
//!
//! let fitted = Sequential::new().dense(8, "tanh").learning_rate(0.05).epochs(200).fit(&data)?;
//! assert_eq!(fitted.predict(&x)?.labels, [0, 1, 1, 0]);
//! # let folder = std::env::temp_dir().join(format!("wgrad-doc-{}", std::process::id()));
//!
//! fitted.save(&folder)?; // model.safetensors, which `wgrad predict` and PyTorch read too
//! let model = TrainedModel::load(&folder)?;
//! # std::fs::remove_dir_all(&folder).unwrap();
//! assert_eq!(model.outputs(), 1);
//! # Ok::<(), wgrad::Error>(())
//! ```
//!
//! | to | there is |
//! | --- | --- |
//! | get data | [`Source`], [`Dataset::load`], [`Dataset::from_arrays`] |
//! | build, train, verify | [`Sequential`], on a [`Device`] |
//! | look at a training | [`Fitted`]: its history, its evaluation of each [`Set`], predictions |
//! | use a saved model | [`TrainedModel`], and [`Predictor`] on a device |
//! | add an activation | [`activation!`] and [`Sequential::activation`] |
//!
//! Errors are values of [`Error`], one variant for each remedy; nothing is printed and there is no global state. The
//! modules below are what these are made of: a configuration ([`config`]) and data ([`data`]) are compiled ([`layers`])
//! into a plan ([`plan`]) of ops ([`ops`]), which an executor runs ([`cpu`], [`gpu`]) for whoever trains ([`train`]) or
//! verifies ([`mod@verify`]) it. They may change from version to version; what is named in the table is kept.

#![warn(missing_docs)]

pub mod bench;
pub mod cli;
pub mod compute;
pub mod config;
pub mod cpu;
pub mod data;
pub mod device;
pub mod error;
pub mod events;
pub mod export;
pub mod file;
pub mod gpu;
pub mod host;
pub mod layers;
pub mod model;
pub mod ops;
pub mod plan;
pub mod predictor;
pub mod report;
pub mod sequential;
pub mod train;
pub mod trained;
pub mod verify;

pub use data::{Dataset, Source, Targets};
pub use device::Device;
pub use error::{Error, Result};
pub use predictor::Predictor;
pub use sequential::{Fitted, Sequential};
pub use train::{End, Epoch, Evaluation, Set};
pub use trained::{Predictions, TrainedModel};
