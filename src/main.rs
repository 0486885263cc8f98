//! The `wgrad` program: see [`wgrad::cli`].

fn main() -> std::process::ExitCode {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // Mesa looks for a place for windows and complains on stderr where there is none; wgrad has no windows.
        // SAFETY: nothing else runs yet that could read the environment meanwhile.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) };
    }
    wgrad::cli::main()
}
