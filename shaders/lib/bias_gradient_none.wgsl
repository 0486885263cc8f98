fn bias_gradient(n4: u32) {
}
