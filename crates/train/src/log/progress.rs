//! Progress on stderr: a bar on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Resolution of the bar, which shows the done fraction of any budget.
const TICKS: u64 = 10_000;

/// Where progress goes.
#[derive(Debug)]
pub struct ProgressReport {
    name: &'static str,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Silent,
    Bar(ProgressBar),
    Plain { next: Instant },
}

impl ProgressReport {
    /// A bar if stderr is a terminal, plain lines otherwise.
    pub fn new(name: &'static str) -> Self {
        let sink = if stderr().is_terminal() {
            let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} % {msg} {eta}")
                .expect("invariant: the template is valid");
            Sink::Bar(ProgressBar::new(TICKS).with_style(style).with_prefix(name))
        } else {
            Sink::Plain { next: Instant::now() }
        };
        Self { name, sink }
    }

    /// Starts the next stage under its own name; the time left is estimated anew.
    pub fn stage(&mut self, name: &'static str) {
        self.name = name;
        if let Sink::Bar(bar) = &self.sink {
            bar.set_prefix(name);
            bar.set_position(0);
            bar.reset_eta();
        }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self {
            name: "",
            sink: Sink::Silent,
        }
    }

    /// Shows the done fraction in [0, 1] and a text that is made only if it is shown.
    pub fn update(&mut self, fraction: f64, message: impl FnOnce() -> String) {
        match &mut self.sink {
            Sink::Silent => {}
            Sink::Bar(bar) => {
                bar.set_position((fraction.clamp(0.0, 1.0) * TICKS as f64) as u64);
                bar.set_message(message());
            }
            Sink::Plain { next } => {
                let now = Instant::now();
                if now >= *next {
                    *next = now + PLAIN_EVERY;
                    let percent = 100.0 * fraction.clamp(0.0, 1.0);
                    // A closed stderr is no reason to stop training.
                    let _ = writeln!(stderr(), "{} {percent:.0} % {}", self.name, message());
                }
            }
        }
    }

    /// Prints a line that stays.
    pub fn say(&self, line: &str) {
        match &self.sink {
            Sink::Silent => {}
            Sink::Bar(bar) => bar.suspend(|| {
                let _ = writeln!(stderr(), "{line}");
            }),
            Sink::Plain { .. } => {
                let _ = writeln!(stderr(), "{line}");
            }
        }
    }

    /// Removes the bar.
    pub fn finish(&mut self) {
        if let Sink::Bar(bar) = &self.sink {
            bar.finish_and_clear();
        }
    }
}
