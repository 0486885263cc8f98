//! Products of f32 matrices on a processor: instruction sets, threads, blocks. Knows nothing of the rest.

pub mod product;
pub mod simd;
pub mod team;

pub use product::{Operand, Packed, Strides};
pub use simd::{Simd, wide};
pub use team::Team;
