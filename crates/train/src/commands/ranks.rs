//! Commands that several processes can do together.

use std::ffi::OsString;
use std::ops::ControlFlow;

use crate::TrainError;
use crate::cli::RankArgs;
use crate::dist::{Comm, Engine, Membership, Single, end_with, launch};

/// What this process is.
pub(super) enum Place {
    /// By itself.
    Alone,
    /// One of several.
    Rank(Membership),
    /// It has started several, which have ended with this exit code.
    Launched(u8),
}

impl Place {
    /// From the arguments and the environment; where several ranks are to be started here, they are, and have ended when this returns.
    pub(super) fn find(args: &RankArgs) -> Result<Self, TrainError> {
        if let Some(count) = args.nproc.filter(|&count| count > 1) {
            return launch(count, &without_nproc(std::env::args_os().skip(1))).map(Self::Launched);
        }
        if let Some(launcher) = args.launcher {
            end_with(launcher);
        }
        let membership = Membership::find(args, &|name| std::env::var(name).ok())?;
        Ok(membership.map_or(Self::Alone, Self::Rank))
    }
}

/// The group that this process works in.
pub(super) struct Joined {
    pub(super) comm: Box<dyn Comm>,
    /// Number among the ranks of this machine.
    pub(super) local_rank: u32,
}

/// Joins the group of this process, or gives the exit code of the group that it has started.
pub(super) fn join(args: &RankArgs) -> Result<ControlFlow<u8, Joined>, TrainError> {
    Ok(match Place::find(args)? {
        Place::Launched(code) => ControlFlow::Break(code),
        Place::Rank(membership) => ControlFlow::Continue(Joined {
            comm: Box::new(Engine::join(&membership)?),
            local_rank: membership.local_rank,
        }),
        Place::Alone => ControlFlow::Continue(Joined {
            comm: Box::new(Single),
            local_rank: 0,
        }),
    })
}

/// Arguments without `--nproc N` and `--nproc=N`.
fn without_nproc(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut args = args;
    while let Some(arg) = args.next() {
        if arg == "--nproc" {
            args.next();
        } else if !arg.to_string_lossy().starts_with("--nproc=") {
            kept.push(arg);
        }
    }
    kept
}
