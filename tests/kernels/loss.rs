pub const TESTS: &[(&str, crate::device::Test)] = &[];
