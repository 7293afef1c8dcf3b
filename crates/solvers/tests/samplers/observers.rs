//! Observers: order of the calls, early stops, trajectories.

use std::ops::ControlFlow;

use solvers::observe::{Chain, EarlyStop, Progress, StopFlag, Trajectory};
use solvers::{HostNoise, Job, StopReason};

use crate::common::{Batch, batch, oracle, prior, sampler, sde};

/// Observers see start, steps and end in order, and can stop a run; the state then is that of the step.
#[test]
fn observers_watch_and_stop() {
    let vp = sde("kind = \"vp\"");
    let score = oracle(&vp);
    for table in [
        "kind = \"pc\"\nsteps = 10",
        "kind = \"heun\"\nsteps = 10",
        "kind = \"ode\"\nmethod = \"rk4\"\nsteps = 10",
    ] {
        let sampler = sampler(table, &*vp);
        let noise = HostNoise {
            seed: 3,
            first_row: 0,
        };
        let job = Job {
            sde: &*vp,
            score: &score,
            noise: &noise,
            first_row: 0,
        };
        let mut x = prior(&*sampler, &*vp, &noise, 4, 2);
        let start = x.clone();
        let mut reported = Vec::new();
        let mut progress = Progress::new(4, |info: &solvers::StepInfo| reported.push(info.step));
        let mut trajectory = Trajectory::new(1);
        let stats = sampler
            .run(&job, &mut x, &mut Chain(vec![&mut progress, &mut trajectory]))
            .expect("the problem is regular");
        assert_eq!((stats.steps, stats.stop), (10, StopReason::Finished));
        assert_eq!(reported, [3, 7, 9]);
        assert_eq!(trajectory.states().len(), 12);
        assert_eq!(trajectory.states()[0], start);
        assert_eq!(trajectory.states()[11], x);
        assert!(trajectory.times().windows(2).all(|pair| pair[1] <= pair[0]));

        let mut stopped = start.clone();
        let mut stop = EarlyStop(|info: &solvers::StepInfo, _: &Batch| info.step == 4);
        let stats = sampler
            .run(&job, &mut stopped, &mut stop)
            .expect("the problem is regular");
        assert_eq!((stats.steps, stats.stop), (5, StopReason::Stopped));
        assert_eq!(stopped, trajectory.states()[5]);
    }
    let flag = std::sync::atomic::AtomicBool::new(true);
    let mut stop = StopFlag(&flag);
    let x = batch(1, 1, |_, _| 0.0);
    let info = solvers::StepInfo {
        step: 0,
        steps: None,
        t: 1.0,
        nfe: 1,
        first_row: 0,
    };
    assert_eq!(
        solvers::Observer::step(&mut stop, &info, &x),
        ControlFlow::Break(())
    );
}
