fn bias_gradient(n: u32) {
}
