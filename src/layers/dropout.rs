//! Dropout of the data or behind batch norm, as an op of its own. Behind a dense layer it is in that layer's epilogue.
//! It does nothing in evaluation.

use super::builder::{Builder, Current};
use super::resolve::Layer;
use crate::ops::dropout::Dropout;
use crate::ops::edge::Drop;
use crate::ops::{Edge, Input};

pub(super) fn emit(builder: &mut Builder, layer: &Layer, drop: Drop, current: Current) -> Current {
    if drop.rate == 0.0 {
        return current;
    }
    let Input::Batch { tensor: input, .. } = current.train else {
        unreachable!("only a dense layer reads the data set itself")
    };
    let name = format!("layers.{}", layer.index);
    let output = builder.activation(format!("{name}.output"), layer.units);
    builder.forward(&name, Dropout { input, output, features: layer.units, drop });
    // What batch norm made has no activation: only the mask is undone.
    let below = current.below.map(|(edge, gradient)| (Edge { drop: Some(drop), ..edge }, gradient));
    Current { train: Input::Batch { tensor: output, features: layer.units }, evaluate: current.evaluate, below }
}
