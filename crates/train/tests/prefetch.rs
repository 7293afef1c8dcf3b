//! The thread that makes batches ahead: the same values, the same errors, and no trace of it afterwards.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use score_nets::{NetError, ScoreNet};
use tch::{Device, Tensor, nn};
use train::data::{MemoryDataset, Scaling, ScalingKind, Values, Visit};
use train::loss::{DrawSource, HostDraw};
use train::trainer::Trainer;
use train::trainer::order::Order;
use train::trainer::prefetch::{Address, Batch, BatchMaker, Prefetch};
use train::{Dataset, RunConfig, TrainError};

const ROWS: usize = 50;
const BATCH: u64 = 16;
/// Far beyond what any of this takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

/// What happens when rows are read; `call` counts from 0.
type OnRead = dyn Fn(usize, &[u64]) -> Result<(), TrainError> + Send + Sync;

/// Points on a ring, and something that happens when they are read.
struct Ring {
    data: MemoryDataset,
    calls: Mutex<usize>,
    on_read: Box<OnRead>,
    /// Gone when the data set is gone.
    _alive: Arc<()>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

impl Ring {
    fn new(on_read: Box<OnRead>) -> (Self, Weak<()>) {
        let values = (0..ROWS).flat_map(|i| [(i as f32).cos(), (i as f32).sin()]);
        let values = Values::Real(values.collect());
        let alive = Arc::new(());
        let ring = Self {
            data: MemoryDataset::new("ring", &[2], values, None, ScalingKind::None, false).expect("a ring"),
            calls: Mutex::new(0),
            on_read,
            _alive: Arc::clone(&alive),
        };
        (ring, Arc::downgrade(&alive))
    }

    fn plain() -> Self {
        Self::new(Box::new(|_, _| Ok(()))).0
    }
}

impl Dataset for Ring {
    fn name(&self) -> &str {
        "ring"
    }
    fn len(&self) -> usize {
        ROWS
    }
    fn shape(&self) -> &[i64] {
        self.data.shape()
    }
    fn scaling(&self) -> &Scaling {
        self.data.scaling()
    }
    fn read(&self, rows: &[u64], visit: Visit, out: &mut [f32]) -> Result<(), TrainError> {
        // Of held-out rows there are none: nothing is read for them.
        if rows.is_empty() {
            return Ok(());
        }
        let call = {
            let mut calls = self.calls.lock().expect("no panic while it is held");
            *calls += 1;
            *calls - 1
        };
        (self.on_read)(call, rows)?;
        self.data.read(rows, visit, out)
    }
}

#[derive(Debug)]
struct Net(nn::Linear);

impl ScoreNet for Net {
    fn forward(&self, x: &Tensor, time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(Tensor::f_cat(&[x, &(time / 999.0).f_unsqueeze(1)?], 1)?.apply(&self.0))
    }
}

fn config(accumulate: u64) -> RunConfig {
    let text = format!(
        "data.kind = 'toy-2d'\nseed = 2\n[train]\nsteps = 100\nbatch = {BATCH}\naccumulate = {accumulate}\n\
         [optim]\nlr = 1e-2\nwarmup_images = 0\nschedule = 'constant'"
    );
    train::config::load_text(&text, "test".as_ref(), &[])
        .expect("a valid table")
        .config
}

fn trainer(data: Ring, accumulate: u64) -> Trainer {
    tch::set_num_threads(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let linear = || nn::linear(vs.root() / "only", 3, 2, Default::default());
    let net = Box::new(Net(score_nets::seeded(1, linear)));
    Trainer::with_parts(&config(accumulate), Box::new(data), vs, net).expect("parts that fit")
}

fn weights(trainer: &Trainer) -> Vec<Vec<f32>> {
    let snapshot = trainer.snapshot();
    let all = snapshot.net.iter().chain(&snapshot.ema).chain(&snapshot.optim);
    all.map(|(_, t)| Vec::<f32>::try_from(t.contiguous().view(-1)).expect("float values"))
        .collect()
}

fn maker(data: Ring, pieces: u64) -> BatchMaker {
    let sde = config(1).sde.build().expect("the default");
    let density = config(1).loss.common().time.build(sde).expect("the default");
    BatchMaker {
        data: Arc::new(data),
        train_rows: (0..ROWS as u64).collect(),
        order: Order::new(3, ROWS),
        draws: DrawSource {
            seed: 3,
            density,
            stratified: true,
            low_discrepancy: false,
        },
        count: BATCH,
        part: 0..BATCH,
        pieces,
    }
}

fn address(step: u64, piece: u64, pieces: u64) -> Address {
    Address {
        step,
        images: step * pieces * BATCH,
        piece,
    }
}

fn same(a: &Batch, b: &Batch) -> bool {
    let draws = |draw: &HostDraw| {
        (
            draw.times.clone(),
            draw.ratios.clone(),
            draw.noise.clone(),
            draw.origin,
        )
    };
    a.rows == b.rows && a.values == b.values && draws(&a.draw) == draws(&b.draw)
}

/// Whatever is asked for, in whatever order, and however often: the batch is the one made on the spot by nobody else's help.
#[test]
fn a_batch_is_a_function_of_its_address() {
    for pieces in [1, 3] {
        let mut ahead = Prefetch::start(maker(Ring::plain(), pieces)).expect("a thread");
        let steps = [0, 1, 2, 3, 4, 4, 9, 10, 2, 3, 3, 4, 0];
        for step in steps {
            for piece in 0..pieces {
                let at = address(step, piece, pieces);
                let mut fresh = Batch::default();
                maker(Ring::plain(), pieces)
                    .fill(at, &mut fresh)
                    .expect("rows in memory");
                assert!(same(ahead.batch(at).expect("rows in memory"), &fresh), "{at:?}");
            }
        }
    }
}

/// Training itself: losses and weights are those of a run in which every batch made ahead is thrown away before each step, by going
/// back to the very state that it is in.
#[test]
fn a_batch_thrown_away_changes_no_bit() {
    for accumulate in [1, 2] {
        let (mut plain, mut disturbed) = (
            trainer(Ring::plain(), accumulate),
            trainer(Ring::plain(), accumulate),
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = train::checkpoint::Store::new(folder.path(), 3);
        store.prepare().expect("a new folder");
        let mut saved = None;
        for step in 0..12 {
            if step % 3 == 2 {
                // Looks at the next batch, as before a checkpoint.
                assert!(disturbed.healthy().expect("no failure"));
            }
            if step == 5 {
                let snapshot = disturbed.snapshot();
                store.save(&snapshot).expect("a free disk");
                saved = Some(snapshot.state);
            }
            if step == 8 {
                let (path, state) = store
                    .newest()
                    .expect("readable")
                    .found
                    .expect("the checkpoint of step 5");
                assert_eq!(Some(&state), saved.as_ref());
                disturbed.restore(&path, &state).expect("its own checkpoint");
                for _ in 5..8 {
                    disturbed.step(0.0).expect("a step");
                }
            }
            let losses = [&mut plain, &mut disturbed].map(|run| run.step(0.0).expect("a step").loss);
            assert_eq!(losses[0].to_bits(), losses[1].to_bits(), "step {step}");
        }
        assert_eq!(weights(&plain), weights(&disturbed));
    }
}

/// The rows that each step reads, one batch after the other: what the order says, each read once though asked for twice.
#[test]
fn every_batch_is_read_once_and_in_order() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let (ring, _) = Ring::new(Box::new(move |_, rows| {
        let _ = tell.lock().expect("no panic").send(rows.to_vec());
        Ok(())
    }));
    let mut trainer = trainer(ring, 1);
    for _ in 0..10 {
        trainer.step(0.0).expect("a step");
        trainer.healthy().expect("no failure");
    }
    drop(trainer);
    let read: Vec<u64> = told.iter().flatten().collect();
    let mut order = Order::new(2, ROWS);
    let want: Vec<u64> = order
        .pieces(0, read.len() as u64)
        .into_iter()
        .flat_map(|(_, rows)| rows)
        .collect();
    assert_eq!(read, want);
    // Ten steps, the batch that `healthy` looked at, and the one made ahead of that.
    assert!(read.len() as u64 <= 12 * BATCH, "{}", read.len());
}

fn gone(call: usize) -> TrainError {
    TrainError::Io {
        action: "read",
        path: format!("row_of_call_{call}").into(),
        source: std::io::ErrorKind::NotFound.into(),
    }
}

/// The error comes at the step that needs the batch, with its own type, again if it is tried again; when the rows are back, training
/// goes on as if nothing had happened.
#[test]
fn an_error_comes_at_its_step_and_can_be_retried() {
    // 16 of 50 rows: the first three batches are a call each.
    let (ring, alive) = Ring::new(Box::new(|call, _| match call {
        2 | 3 => Err(gone(call)),
        _ => Ok(()),
    }));
    let (mut failing, mut plain) = (trainer(ring, 1), trainer(Ring::plain(), 1));
    for _ in 0..2 {
        failing.step(0.0).expect("rows that are there");
    }
    let before = weights(&failing);
    for call in 2..4 {
        let error = failing.step(0.0).expect_err("rows that are gone");
        let named = format!("row_of_call_{call}");
        assert!(
            matches!(&error, TrainError::Io { path, .. } if path.ends_with(&named)),
            "{error:?}"
        );
        assert_eq!((failing.state().step, &weights(&failing)), (2, &before));
    }
    for _ in 0..4 {
        failing.step(0.0).expect("rows that are back");
    }
    for _ in 0..6 {
        plain.step(0.0).expect("a step");
    }
    assert_eq!(weights(&failing), weights(&plain));
    drop(failing);
    assert!(alive.upgrade().is_none(), "nobody has the data any more");
}

/// An error that nobody meets is no error: the batch after the last step.
#[test]
fn an_error_beyond_the_last_step_is_never_met() {
    let (ring, alive) = Ring::new(Box::new(|call, _| match call {
        0 | 1 => Ok(()),
        _ => Err(gone(call)),
    }));
    let mut trainer = trainer(ring, 1);
    for _ in 0..2 {
        trainer.step(0.0).expect("rows that are there");
    }
    drop(trainer);
    assert!(alive.upgrade().is_none());
}

#[test]
fn a_panic_of_the_data_set_is_an_error_that_says_so() {
    let (ring, alive) = Ring::new(Box::new(|call, _| match call {
        1 => panic!("row {call} is upside down"),
        _ => Ok(()),
    }));
    let mut trainer = trainer(ring, 1);
    trainer.step(0.0).expect("the first batch");
    let error = trainer.step(0.0).expect_err("a panic").to_string();
    assert!(
        error.contains("ring") && error.contains("panicked: row 1 is upside down"),
        "{error}"
    );
    trainer.step(0.0).expect("the thread lives on");
    drop(trainer);
    assert!(alive.upgrade().is_none());
}

/// While a step computes, the rows of the next are being read: the network waits until they are asked for, which would never happen
/// if they were read after the step.
#[test]
fn rows_are_read_while_the_step_computes() {
    #[derive(Debug)]
    struct Waits(Net, Receiver<usize>, Mutex<usize>);
    impl ScoreNet for Waits {
        fn forward(&self, x: &Tensor, time: &Tensor, train: bool) -> Result<Tensor, NetError> {
            let mut step = self.2.lock().expect("no panic");
            // Batch 0 is read before step 0; batch n + 1 must come during step n.
            let first = usize::from(*step == 0);
            for _ in 0..=first {
                let call = self.1.recv_timeout(LONG).expect("the next batch is asked for");
                assert!(call <= *step + 1, "no more than one batch ahead");
            }
            *step += 1;
            self.0.forward(x, time, train)
        }
    }
    tch::set_num_threads(1);
    let (tell, told): (Sender<usize>, _) = channel();
    let tell = Mutex::new(tell);
    // Batches of 10 of 50 rows are a call each.
    let (ring, _) = Ring::new(Box::new(move |call, _| {
        let _ = tell.lock().expect("no panic").send(call);
        Ok(())
    }));
    let vs = nn::VarStore::new(Device::Cpu);
    let linear = || nn::linear(vs.root() / "only", 3, 2, Default::default());
    let net = Waits(Net(score_nets::seeded(1, linear)), told, Mutex::new(0));
    let mut config = config(1);
    config.train.batch = 10;
    let mut trainer =
        Trainer::with_parts(&config, Box::new(ring), vs, Box::new(net)).expect("parts that fit");
    for _ in 0..20 {
        trainer.step(0.0).expect("a step");
    }
}

/// A trainer that is dropped while its data set is slow waits for the rows being read and no longer; the thread and the data are gone
/// then.
#[test]
fn dropping_ends_the_thread_whatever_it_does() {
    // Never asked for anything.
    let (ring, alive) = Ring::new(Box::new(|_, _| Ok(())));
    drop(trainer(ring, 1));
    assert!(alive.upgrade().is_none());
    // In the middle of a read: the data set is let go by another thread.
    let (started, has_started) = channel();
    let (let_go, wait) = channel::<()>();
    let (started, wait) = (Mutex::new(started), Mutex::new(wait));
    let (ring, alive) = Ring::new(Box::new(move |call, _| {
        if call == 1 {
            let _ = started.lock().expect("no panic").send(());
            let _ = wait.lock().expect("no panic").recv_timeout(LONG);
        }
        Ok(())
    }));
    let mut trainer = trainer(ring, 1);
    trainer.step(0.0).expect("the first batch");
    has_started.recv_timeout(LONG).expect("batch 1 is being read");
    let helper = std::thread::spawn(move || let_go.send(()).expect("the read waits"));
    drop(trainer);
    assert!(alive.upgrade().is_none());
    helper.join().expect("it sent");
}
