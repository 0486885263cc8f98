//! Products of f32 matrices on a processor: instruction sets, threads, blocks. Knows nothing of the rest.

mod operand;
pub mod product;
pub mod simd;
mod sparse;
pub mod team;

pub use operand::{Operand, Strides};
pub use product::Packed;
pub use simd::{AHEAD, Simd, fetch, wide};
pub use team::Team;
