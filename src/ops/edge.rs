//! How the tensor that feeds a layer was made: its activation and its dropout, which the layer's backward pass undoes
//! in its epilogue. Its shaders are `shaders/lib/below_*.wgsl`. Knows nothing of plans or devices.

use super::{Batch, TensorId, passes, wgsl};
use crate::model::activations::{Activation, Saves};
use crate::model::random::counter_based;
use crate::model::real::Real;

/// Units dropped at random during training (Srivastava et al. 2014, inverted: kept units are scaled by 1/(1 − rate)).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drop {
    /// The share of units that are dropped.
    pub rate: f64,
    /// Tells this layer's random numbers from every other's.
    pub key: u32,
}

impl Drop {
    /// A unit is dropped when its random 32 bits are below this.
    pub fn threshold(&self) -> u32 {
        (self.rate * 4_294_967_296.0) as u32
    }

    /// What a kept unit is multiplied by, the same f32 on every device.
    pub fn scale(&self) -> f32 {
        (1.0 / (1.0 - self.rate)) as f32
    }

    /// 0 or the scale.
    pub(super) fn factor<T: Real>(&self, row: usize, column: usize, batch: &Batch) -> T {
        let kept = counter_based(column as u32, row as u32, batch.counter, self.key) >= self.threshold();
        if kept { T::from_f32(self.scale()) } else { T::zero() }
    }
}

/// The numbers of a [`Drop`] in a kernel's `Params`: key, threshold, scale, 1/scale.
pub(super) fn drop_words(drop: Option<Drop>) -> [u32; 4] {
    drop.map_or([0, 0, 1f32.to_bits(), 1f32.to_bits()], |drop| {
        [drop.key, drop.threshold(), drop.scale().to_bits(), ((1.0 - drop.rate) as f32).to_bits()]
    })
}

/// The tensor a layer read, `[count, features]`, and what its maker did last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// f.
    pub activation: &'static Activation,
    /// f(z) after dropout, or z: what [`Activation::saves`] asks for.
    pub saved: TensorId,
    /// Dropout after f.
    pub drop: Option<Drop>,
}

impl Edge {
    /// The files that define `below_derivative`.
    pub(super) fn sources(&self) -> Vec<String> {
        let saves = match self.activation.saves {
            Saves::Output => wgsl!("lib/saved_output.wgsl"),
            Saves::Input => wgsl!("lib/saved_input.wgsl"),
        };
        vec![saves, self.activation.wgsl.to_owned(), drop_source(self.drop)]
    }

    /// Turns the gradient of the tensor into the gradient of the sums z below it, in place, from element `first` on;
    /// `saved` starts there too.
    pub(super) fn chain<T: Real>(
        &self,
        gradients: &mut [T],
        saved: &[T],
        features: usize,
        first: usize,
        batch: &Batch,
    ) {
        let functions = T::pick(&self.activation.twin);
        let Some(drop) = self.drop else {
            (functions.chain)(gradients, &saved[..gradients.len()]);
            return;
        };
        for (i, g) in gradients.iter_mut().enumerate() {
            let factor: T = drop.factor((first + i) / features, (first + i) % features, batch);
            let unscale = T::from_f32((1.0 - drop.rate) as f32);
            let at = if self.activation.saves == Saves::Output { saved[i] * unscale } else { saved[i] };
            *g = *g * factor * (functions.derivative)(at);
        }
    }
}

/// The file that defines `keep`.
pub(super) fn drop_source(drop: Option<Drop>) -> String {
    if drop.is_some() {
        [wgsl!("lib/keep_some.wgsl"), wgsl!("lib/random.wgsl")].concat()
    } else {
        wgsl!("lib/keep_all.wgsl")
    }
}

/// Loop iterations of `keep` for four units.
pub(super) fn drop_iterations(drop: Option<Drop>) -> u64 {
    drop.map_or(0, |_| passes(4_u64))
}

/// Multiplies each unit by 0 or the scale, in place; `values` starts with element `first`.
pub(super) fn drop_units<T: Real>(drop: Drop, values: &mut [T], features: usize, first: usize, batch: &Batch) {
    for (i, value) in values.iter_mut().enumerate() {
        *value = *value * drop.factor((first + i) / features, (first + i) % features, batch);
    }
}
