//! Ctrl-C and termination: the first asks the training to stop where it can go on later, the second ends at once.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// Signals that came since this was made.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    /// The last signal's number, 0 for none.
    received: Arc<AtomicUsize>,
}

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Interrupt,
    Terminate,
}

impl Request {
    pub fn name(self) -> &'static str {
        match self {
            Request::Interrupt => "interrupted",
            Request::Terminate => "terminated",
        }
    }

    /// 128 + the signal's number, as shells have it.
    pub fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Request::Interrupt => 130,
            Request::Terminate => 143,
        })
    }
}

impl Signals {
    /// From here on the first signal is only taken note of.
    pub fn watch() -> Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        let register = || -> io::Result<()> {
            for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
                // In this order: the first signal sets the flag, and the next one finds it set.
                flag::register_conditional_shutdown(signal, code, again.clone())?;
                flag::register(signal, again.clone())?;
                flag::register_usize(signal, received.clone(), signal as usize)?;
            }
            Ok(())
        };
        register().map_err(|error| Error::internal(format!("signals cannot be watched: {error}")))?;
        Ok(Signals { received })
    }

    /// What was asked for, if anything.
    pub fn request(&self) -> Option<Request> {
        match self.received.load(Ordering::Relaxed) as i32 {
            SIGINT => Some(Request::Interrupt),
            SIGTERM => Some(Request::Terminate),
            _ => None,
        }
    }
}
