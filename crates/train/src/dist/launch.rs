//! Several ranks on this machine: this program once more for each, which meet in a file of their own.

use std::ffi::OsString;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::TrainError;
use crate::cli::{DONE, FAILED, INTERRUPTED};
use crate::trainer::StopFlag;

/// How long ranks have to end by themselves when one has failed.
const GRACE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);

/// Starts `count` ranks with `arguments` (of this process, without those that ask for several ranks) and waits for them. What rank 0
/// prints is printed; signals to this process go on to the ranks. The answer is the exit code: that of the first rank that failed, or
/// of rank 0.
///
/// # Errors
/// A process cannot be started.
pub fn launch(count: u32, arguments: &[OsString]) -> Result<u8, TrainError> {
    let stop = StopFlag::on_signals()?;
    let program = std::env::current_exe().map_err(TrainError::io("find", "this program".as_ref()))?;
    let folder = tempfile::tempdir().map_err(TrainError::io("create a folder in", &std::env::temp_dir()))?;
    let store = folder.path().join("ranks");
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) / count as usize;
    let mut ranks = Ranks(Vec::new());
    for rank in 0..count {
        let mut command = Command::new(&program);
        command.args(arguments);
        command.args(["--rank", &rank.to_string(), "--world-size", &count.to_string()]);
        command.arg("--meet").arg(format!("file://{}", store.display()));
        command.args(["--launcher", &std::process::id().to_string()]);
        if std::env::var_os("OMP_NUM_THREADS").is_none() {
            command.env("OMP_NUM_THREADS", threads.max(1).to_string());
        }
        if rank > 0 {
            command.stdout(Stdio::null());
        }
        let child = command.spawn().map_err(TrainError::io("run", &program))?;
        ranks.0.push((child, None));
    }
    Ok(ranks.wait(&stop))
}

/// Asks for the end of this process, as by [`StopFlag`]'s signals, when the one that started it ends in whatever way: by SIGKILL, too,
/// after which it could not say so. Linux only.
pub fn end_with(launcher: i32) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getpid, getppid, kill_process, set_parent_process_death_signal};
        // What the kernel refuses is no reason not to work.
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
        if getppid().is_none_or(|parent| parent.as_raw_pid() != launcher) {
            // It has ended before.
            let _ = kill_process(getpid(), Signal::TERM);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = launcher;
}

/// Processes and how they ended.
struct Ranks(Vec<(Child, Option<ExitStatus>)>);

impl Ranks {
    fn wait(&mut self, stop: &StopFlag) -> u8 {
        let mut told = false;
        let mut first_failure: Option<(Instant, u8)> = None;
        loop {
            for (child, status) in &mut self.0 {
                if status.is_none() {
                    *status = child.try_wait().ok().flatten();
                    let code = status.map(exit_code);
                    if let Some(code) = code.filter(|code| ![DONE, INTERRUPTED].contains(code)) {
                        first_failure.get_or_insert((Instant::now(), code));
                    }
                }
            }
            if self.0.iter().all(|(_, status)| status.is_some()) {
                let of_first = self.0[0].1.map_or(FAILED, exit_code);
                return first_failure.map_or(of_first, |(_, code)| code);
            }
            if first_failure.is_some_and(|(since, _)| since.elapsed() > GRACE) {
                // Dropped, they are ended.
                return first_failure.map_or(FAILED, |(_, code)| code);
            }
            if stop.is_set() && !told {
                self.send(Signal::Stop);
                told = true;
            }
            if stop.take_save() {
                self.send(Signal::Save);
            }
            std::thread::sleep(LOOK);
        }
    }

    #[cfg(unix)]
    fn send(&self, signal: Signal) {
        use rustix::process::{Pid, Signal as Number, kill_process};
        let number = match signal {
            Signal::Stop => Number::TERM,
            Signal::Save => Number::USR1,
        };
        for (child, status) in &self.0 {
            if status.is_none() {
                // It may have ended since.
                let _ = kill_process(Pid::from_child(child), number);
            }
        }
    }

    #[cfg(not(unix))]
    fn send(&self, _signal: Signal) {}
}

impl Drop for Ranks {
    /// No rank outlives the process that started it.
    fn drop(&mut self) {
        for (child, status) in &mut self.0 {
            if status.is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Stop,
    Save,
}

/// 1 for a process that a signal ended.
fn exit_code(status: ExitStatus) -> u8 {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(FAILED)
}
