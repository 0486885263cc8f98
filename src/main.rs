//! The `wgrad` program: see [`wgrad::cli`].

fn main() -> std::process::ExitCode {
    wgrad::cli::main()
}
