//! Data sets: one file a format, a seeded split, and preprocessing fitted on the training rows only.
//! Knows `config` (what was asked for) and `error`, nothing else.
