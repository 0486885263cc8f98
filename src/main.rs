//! The `wgrad` program: see [`wgrad::cli`].

use std::env;
use std::ffi::OsString;

fn main() -> std::process::ExitCode {
    let default = |name: &str, value: OsString| {
        if env::var_os(name).is_none() {
            // SAFETY: nothing else runs yet that could read the environment meanwhile.
            unsafe { env::set_var(name, value) };
        }
    };
    if cfg!(target_os = "linux") {
        // Mesa looks for a place for windows and complains on stderr where there is none; wgrad has no windows.
        default("XDG_RUNTIME_DIR", env::temp_dir().into());
        // Mesa's llvmpipe cuts a dispatch into a piece for each of its threads. With as many as there are cores, the first
        // thread to wake often does the pieces of all before the others have begun.
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        default("LP_NUM_THREADS", (2 * cores).to_string().into());
    }
    wgrad::cli::main()
}
