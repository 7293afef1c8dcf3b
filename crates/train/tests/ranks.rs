//! Several ranks, as threads: the steps of one run, whatever their number.

use std::time::Duration;

use score_nets::{NetError, ScoreNet};
use tch::{Device, Tensor, nn};
use train::checkpoint::RunState;
use train::data::{MemoryDataset, ScalingKind, Values};
use train::dist::{Comm, ThreadRank, share, sums, text_of_first, threads};
use train::log::ProgressReport;
use train::trainer::{Action, RunFolder, RunOptions, StepMetrics, StopFlag, Trainer, run};
use train::{RunConfig, TrainError};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Net {
    hidden: nn::Linear,
    out: nn::Linear,
}

impl ScoreNet for Net {
    fn forward(&self, x: &Tensor, time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        let x = Tensor::f_cat(&[x, &(time / 999.0).f_unsqueeze(1)?], 1)?;
        Ok(x.apply(&self.hidden).f_tanh()?.apply(&self.out))
    }
}

fn config(more: &str) -> RunConfig {
    let text = format!(
        "data.kind = 'toy-2d'\nseed = 2\n[optim]\nlr = 1e-2\nwarmup_images = 0\nschedule = 'constant'\n\
         [train]\nsteps = 100\nsamples = 4\nholdout = 0.25\n{more}"
    );
    train::config::load_text(&text, "test".as_ref(), &[])
        .expect("a valid table")
        .config
}

/// Points on a ring of a radius.
fn trainer(more: &str, radius: f32) -> Trainer {
    tch::set_num_threads(1);
    let points = (0..200).flat_map(|i| [radius * (i as f32).cos(), radius * (i as f32).sin()]);
    let values = Values::Real(points.collect());
    let data = MemoryDataset::new("ring", &[2], values, None, ScalingKind::None, false).expect("a ring");
    let vs = nn::VarStore::new(Device::Cpu);
    let net = score_nets::seeded(1, || Net {
        hidden: nn::linear(vs.root() / "hidden", 3, 32, Default::default()),
        out: nn::linear(vs.root() / "out", 32, 2, Default::default()),
    });
    Trainer::with_parts(&config(more), Box::new(data), vs, Box::new(net)).expect("parts that fit")
}

/// What every rank of a group makes of `work`.
fn ranks<T: Send>(world: u32, work: impl Fn(ThreadRank) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = threads(world, TIMEOUT)
            .into_iter()
            .map(|rank| scope.spawn(|| work(rank)))
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    })
}

fn join(trainer: Trainer, rank: ThreadRank) -> Trainer {
    trainer.join(Box::new(rank)).expect("ranks that fit")
}

/// The losses of some steps.
fn losses(trainer: &mut Trainer, steps: u64) -> Vec<f64> {
    (0..steps)
        .map(|_| trainer.step(0.0).expect("a step").loss)
        .collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.contiguous().view(-1)).expect("float values")
}

fn bits(trainer: &Trainer) -> Vec<Vec<u32>> {
    let snapshot = trainer.snapshot();
    let all = snapshot.net.iter().chain(&snapshot.ema).chain(&snapshot.optim);
    all.map(|(_, tensor)| values(tensor).into_iter().map(f32::to_bits).collect())
        .collect()
}

/// Two ranks compute what one process computes that takes each batch in two pieces: the sum of two numbers has no order.
#[test]
fn two_ranks_give_the_bits_of_two_pieces() {
    let mut alone = trainer("batch = 16\naccumulate = 2", 1.0);
    let expected = losses(&mut alone, 50);
    let all = ranks(2, |rank| {
        let mut trainer = join(trainer("batch = 32", 1.0), rank);
        let seen = losses(&mut trainer, 50);
        trainer.check_ranks().expect("equal ranks");
        (seen, bits(&trainer), trainer.state().images)
    });
    for (seen, weights, images) in all {
        assert_eq!(weights, bits(&alone));
        assert_eq!(images, alone.state().images);
        for (seen, expected) in seen.iter().zip(&expected) {
            // The mean of two halves in f64 against the sum of two shares in f32.
            assert!(
                (seen - expected).abs() <= 1.2e-7 * expected.abs(),
                "{seen} {expected}"
            );
        }
    }
}

#[test]
fn losses_do_not_depend_on_the_number_of_ranks() {
    let mut alone = trainer("batch = 16", 1.0);
    let expected = losses(&mut alone, 100);
    let (first, last) = (expected[0], expected[99]);
    assert!(last < 0.8 * first, "{first} {last}");
    for world in [2, 3, 5] {
        for seen in ranks(world, |rank| {
            losses(&mut join(trainer("batch = 16", 1.0), rank), 100)
        }) {
            for (seen, expected) in seen.iter().zip(&expected) {
                assert!(
                    (seen - expected).abs() <= 1e-5 * expected.abs(),
                    "{world}: {seen} {expected}"
                );
            }
            assert!((seen[0] - first).abs() <= 2e-7 * first);
        }
    }
}

#[test]
fn validation_and_samples_are_those_of_one_process() {
    let mut alone = trainer("batch = 16", 1.0);
    losses(&mut alone, 5);
    let draw = |trainer: &mut Trainer| {
        let sampler = trainer.sampler().expect("the default");
        let what = train::sample::SampleOptions {
            count: 23,
            seed: 9,
            batch: 5,
            trajectory: false,
        };
        trainer
            .sample_with(sampler.as_ref(), what, &StopFlag::default(), &mut |_| {})
            .expect("samples")
    };
    let samples = draw(&mut alone);
    let expected = alone.validation_loss().expect("a loss").expect("held-out rows");
    // The average, as it comes from each rank: the same weights to the bit.
    let average: Vec<Vec<f32>> = alone
        .snapshot()
        .ema
        .iter()
        .map(|(_, tensor)| values(tensor))
        .collect();
    for world in [2, 3] {
        let all = ranks(world, |rank| {
            let mut trainer = join(trainer("batch = 16", 1.0), rank);
            losses(&mut trainer, 5);
            for ((_, own), other) in trainer.snapshot().ema.iter_mut().zip(&average) {
                own.copy_(&Tensor::from_slice(other).view_as(own));
            }
            (
                trainer.validation_loss().expect("a loss").expect("held-out rows"),
                draw(&mut trainer),
            )
        });
        for (loss, drawn) in all {
            assert!((loss - expected).abs() <= 1e-14 * expected, "{loss} {expected}");
            assert_eq!(drawn, samples);
        }
    }
}

#[test]
fn a_stopped_draw_ends_on_every_rank() {
    let all = ranks(2, |rank| {
        let stop = StopFlag::default();
        if rank.rank() == 1 {
            stop.set();
        }
        let mut trainer = join(trainer("batch = 16", 1.0), rank);
        let sampler = trainer.sampler().expect("the default");
        let what = train::sample::SampleOptions {
            count: 8,
            seed: 0,
            batch: 2,
            trajectory: false,
        };
        let samples = trainer
            .sample_with(sampler.as_ref(), what, &stop, &mut |_| {})
            .expect("an end");
        (samples.stopped, samples.rows())
    });
    assert_eq!(all, [(true, 0); 2]);
}

/// Wishes go with the numbers of the next step, so that they come true one step later than alone; the end of a budget that is counted
/// does not.
#[test]
fn what_one_rank_wants_all_do() {
    let ends = |end: Option<u64>, signal: bool| {
        ranks(2, |rank| {
            let second = rank.rank() == 1;
            let stop = StopFlag::default();
            let flag = stop.clone();
            let mut wish = |state: &RunState, _: &StepMetrics| match second && end == Some(state.step) {
                true if signal => {
                    flag.set();
                    Action::None
                }
                true => Action::Stop,
                false => Action::None,
            };
            let mut trainer = join(trainer("batch = 16", 1.0), rank);
            let mut options = RunOptions {
                progress: ProgressReport::silent(),
                stop,
            };
            let folder = tempfile::tempdir().expect("a folder");
            let folder = (!second).then(|| {
                RunFolder::create(&folder.path().join("run"), trainer.config()).expect("a new folder")
            });
            let summary = run(&mut trainer, folder.as_ref(), &mut options, &mut [&mut wish]);
            let summary = summary.expect("an end");
            (summary.steps, summary.interrupted)
        })
    };
    assert_eq!(ends(Some(7), false), [(8, false); 2]);
    assert_eq!(ends(Some(7), true), [(8, true); 2]);
    assert_eq!(ends(None, false), [(100, false); 2]);
}

#[test]
fn ranks_that_differ_are_refused_on_both_sides() {
    let told = |left: (&'static str, f32), right: (&'static str, f32)| {
        ranks(2, |rank| {
            let (more, radius) = if rank.rank() == 0 { left } else { right };
            let joined = trainer(more, radius).join(Box::new(rank));
            joined.map_or_else(|error| error.to_string(), |_| "joined".to_owned())
        })
    };
    let text = told(("batch = 16", 1.0), ("batch = 17", 1.0));
    assert_eq!(
        text[0],
        "rank 0: rank 1 was started with another configuration than rank 0; start all ranks alike"
    );
    assert_eq!(
        text[1],
        "rank 1: configuration is not that of rank 0: here `batch = 17`, on rank 0 `batch = 16`; start all ranks alike"
    );
    let text = told(("batch = 16", 1.0), ("batch = 16", 1.5));
    assert!(
        text[0].contains("another data than rank 0") && text[1].contains("here `row 0: "),
        "{text:?}"
    );
    let few = ranks(3, |rank| {
        let joined = trainer("batch = 2", 1.0).join(Box::new(rank));
        joined.map_or_else(|error| error.to_string(), |_| "joined".to_owned())
    });
    assert_eq!(
        few[2],
        "rank 2: train.batch = 2 has no row for each of 3 ranks; raise it or start fewer"
    );
}

#[test]
fn weights_that_drift_apart_are_found() {
    let all = ranks(2, |rank| {
        let own = rank.rank();
        let trainer = join(trainer("batch = 16", 1.0), rank);
        trainer.check_ranks().expect("equal ranks");
        if own == 1 {
            let snapshot = trainer.snapshot();
            // The last bit of one weight.
            tch::no_grad(|| {
                let mut place = snapshot.net[0].1.view(-1).narrow(0, 0, 1);
                let value = place.double_value(&[0]) as f32;
                let _ = place.fill_(f64::from(f32::from_bits(value.to_bits() ^ 1)));
            });
        }
        trainer.check_ranks().map_err(|error| error.to_string())
    });
    assert!(
        all[0]
            .as_ref()
            .is_err_and(|text| text.contains("step 0: another rank has other weights than rank 0"))
    );
    assert!(
        all[1]
            .as_ref()
            .is_err_and(|text| text.contains("step 0: this rank has other weights than rank 0"))
    );
}

#[test]
fn a_rank_that_ends_is_missed() {
    let all = ranks(2, |rank| {
        let own = rank.rank();
        let mut trainer = join(trainer("batch = 16", 1.0), rank);
        losses(&mut trainer, 3);
        match own {
            1 => None,
            _ => Some(trainer.step(0.0).map(drop)),
        }
    });
    assert!(matches!(all[0], Some(Err(TrainError::Comm(_)))), "{all:?}");
}

#[test]
fn shares_cover_everything_once() {
    for world in 1..6 {
        for count in [0, 1, 5, 16, 17] {
            let mut end = 0;
            for rank in threads(world, TIMEOUT) {
                let part = share(&rank, count);
                assert_eq!(part.start, end);
                let even = count / u64::from(world);
                assert!((even..=even + 1).contains(&(part.end - part.start)));
                end = part.end;
            }
            assert_eq!(end, count);
        }
    }
}

#[test]
fn numbers_and_text_reach_everybody() {
    let all = ranks(3, |rank| {
        let own = f64::from(rank.rank());
        let text = ["first", "", "third, and longer"][rank.rank() as usize];
        (
            sums(&rank, [own, 2.0]).expect("sums"),
            text_of_first(&rank, text).expect("text"),
        )
    });
    assert_eq!(all, vec![([3.0, 6.0], "first".to_owned()); 3]);
}
