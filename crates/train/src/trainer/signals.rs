//! Signals as flags: the loop looks between steps, so that no signal ever interrupts a save.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::TrainError;

/// Requests to stop and to save, shared between the handlers and the loop.
#[derive(Debug, Clone, Default)]
pub struct StopFlag {
    stop: Arc<AtomicBool>,
    save: Arc<AtomicBool>,
}

impl StopFlag {
    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Asks to stop.
    pub fn set(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether a checkpoint was asked for since this was last called.
    pub fn take_save(&self) -> bool {
        self.save.swap(false, Ordering::Relaxed)
    }

    /// Lets Ctrl-C (SIGINT) and SIGTERM set the flag; the second one does no more than the first. SIGUSR1 asks
    /// for a checkpoint, after which training goes on. A file that
    /// would grow past the size limit of the process gives an error instead of ending it (SIGXFSZ).
    ///
    /// # Errors
    /// [`TrainError::Signal`] if the system refuses a handler.
    pub fn on_signals() -> Result<Self, TrainError> {
        let flag = Self::default();
        let register = |signal, target: &Arc<AtomicBool>| {
            signal_hook::flag::register(signal, Arc::clone(target))
                .map(|_| ())
                .map_err(|source| TrainError::Signal { source })
        };
        register(signal_hook::consts::SIGINT, &flag.stop)?;
        register(signal_hook::consts::SIGTERM, &flag.stop)?;
        #[cfg(unix)]
        {
            register(signal_hook::consts::SIGUSR1, &flag.save)?;
            register(SIGXFSZ, &Arc::new(AtomicBool::new(false)))?;
        }
        Ok(flag)
    }
}

/// Sent for a write past the file-size limit; 25 on Linux and macOS.
#[cfg(unix)]
const SIGXFSZ: i32 = 25;
