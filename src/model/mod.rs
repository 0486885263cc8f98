//! The tables of rows: activations, losses, optimizers, schedules, initialisers, and the numbers they compute with.
//! Knows `config` and `error`; nothing of plans, ops or devices.

pub mod activations;
pub mod initializers;
pub mod losses;
pub mod optimizers;
pub mod random;
pub mod real;
pub mod schedules;
pub mod tracked;
