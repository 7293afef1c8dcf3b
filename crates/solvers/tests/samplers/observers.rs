//! Observers: order of the calls, early stops, trajectories.

use std::ops::ControlFlow;

use solvers::observe::{Chain, EarlyStop, Progress, StopFlag, Trajectory};
use solvers::{Observer, StepInfo, StopReason};

use crate::common::{Batch, batch, job, oracle, prior, sampler, sde, seeded};

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
        let noise = seeded(3);
        let job = job(&*vp, &score, &noise);
        let mut x = prior(&*sampler, &*vp, &noise, 4, 2);
        let start = x.clone();
        let mut reported = Vec::new();
        let mut progress = Progress::new(4, |info: &StepInfo| reported.push(info.step));
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
        let mut stop = EarlyStop(|info: &StepInfo, _: &Batch| info.step == 4);
        let stats = sampler
            .run(&job, &mut stopped, &mut stop)
            .expect("the problem is regular");
        assert_eq!((stats.steps, stats.stop), (5, StopReason::Stopped));
        assert_eq!(stopped, trajectory.states()[5]);
    }
    let flag = std::sync::atomic::AtomicBool::new(true);
    let mut stop = StopFlag(&flag);
    let x = batch(1, 1, |_, _| 0.0);
    let info = StepInfo {
        step: 0,
        steps: None,
        t: 1.0,
        nfe: 1,
        first_row: 0,
    };
    assert_eq!(Observer::step(&mut stop, &info, &x), ControlFlow::Break(()));
}

/// The final state has the end time, whatever was shown before; where an observer stopped the run, that of the last step.
#[test]
fn runs_say_at_which_time_they_ended() {
    let vp = sde("kind = \"vp\"");
    let (score, noise) = (oracle(&vp), seeded(3));
    for table in [
        "kind = \"ode\"\nmethod = \"dp5\"\nsave_at = [0.5, 0.2]",
        "kind = \"ode\"\nmethod = \"dp5\"",
        "kind = \"adaptive-sde\"",
        "kind = \"dpm-solver\"\nmode = \"adaptive\"",
        "kind = \"heun\"\nsteps = 10",
    ] {
        let sampler = sampler(&format!("{table}\nt_end = 0.01"), &*vp);
        let run = |observer: &mut dyn Observer<Batch>| {
            let mut x = prior(&*sampler, &*vp, &noise, 3, 2);
            sampler
                .run(&job(&*vp, &score, &noise), &mut x, observer)
                .expect("the problem is regular")
        };
        let mut trajectory = Trajectory::new(1);
        let stats = run(&mut trajectory);
        let times = trajectory.times();
        assert_eq!((stats.t, times.last()), (0.01, Some(&0.01)), "{table}");
        if table.contains("save_at") {
            assert_eq!(times, [1.0, 0.5, 0.2, 0.01]);
        }
        let mut stopped = Trajectory::new(1);
        let mut first = EarlyStop(|info: &StepInfo, _: &Batch| info.step == 0);
        let stats = run(&mut Chain(vec![&mut stopped, &mut first]));
        assert_eq!(stats.stop, StopReason::Stopped);
        assert_eq!(stopped.times(), [1.0, stats.t, stats.t], "{table}");
        assert!(stats.t > 0.01 && stats.t == times[1], "{table}");
    }
}

/// Dense output: all rows at the times asked for, though each has its own steps; the bits of a row are those of a run of that row
/// alone, the last time is the final state, and a stop leaves the state of its time.
#[test]
fn adaptive_methods_show_common_times() {
    let vp = sde("kind = \"vp\"");
    let score = oracle(&vp);
    let run = |method: &str, x: &mut Batch, observer: &mut dyn Observer<Batch>| {
        let table = format!(
            "kind = \"ode\"\nmethod = \"{method}\"\nfinal = \"none\"\nsave_at = [1.0, 0.9, 0.5, 0.1, 0.099, 0.0015, 0.001]"
        );
        let noise = seeded(3);
        let job = job(&*vp, &score, &noise);
        sampler(&table, &*vp)
            .run(&job, x, observer)
            .expect("the problem is regular")
    };
    for method in ["bosh3", "dp5", "tsit5"] {
        let start = batch(5, 2, |row, d| 0.6 * row as f64 - 1.2 + 0.3 * d as f64);
        let (mut x, mut trajectory) = (start.clone(), Trajectory::new(1));
        run(method, &mut x, &mut trajectory);
        // Start, the seven times, and the end once more.
        assert_eq!(
            trajectory.times(),
            [1.0, 1.0, 0.9, 0.5, 0.1, 0.099, 0.0015, 0.001, 0.001],
            "{method}"
        );
        let states = trajectory.states();
        assert_eq!((&states[1], &states[7], &states[8]), (&start, &x, &x), "{method}");
        for row in 0..5 {
            let mut alone = batch(1, 2, |_, d| start.plane(d)[row]);
            let mut single = Trajectory::new(1);
            run(method, &mut alone, &mut single);
            for (all, one) in states.iter().zip(single.states()) {
                for d in 0..2 {
                    assert_eq!(all.plane(d)[row], one.plane(d)[0], "{method} row {row}");
                }
            }
        }
        let (mut stopped, mut third) = (
            start.clone(),
            EarlyStop(|info: &StepInfo, _: &Batch| info.t == 0.5),
        );
        let stats = run(method, &mut stopped, &mut third);
        assert_eq!(
            (stats.stop, &stopped),
            (StopReason::Stopped, &states[3]),
            "{method}"
        );
    }
}
