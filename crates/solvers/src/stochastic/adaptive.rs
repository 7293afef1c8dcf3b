mod control;

use sde_core::Sde;

use self::control::{Factors, Stage};
use crate::noise::{BrownianTree, Walk};
use crate::observe::NanGuard;
use crate::rk::adaptive::Limits;
use crate::sampler::{CountedScore, Final, Job, MethodInfo, Sampler, Scratch, SolveStats, StopReason};
use crate::simd;
use crate::{Coef, Observer, SolveError, State, StepInfo};

/// The reverse SDE `dx = [a x - (1 + eta^2)/2 g^2 score] dt + eta g dw` by the stochastic improved Euler pair, one step size per row.
///
/// A step of length `h` from `t` with the increment `dW` of the path, `f` the drift:
/// `K_1 = -h f(x, t) + eta g(t) dW`, `K_2 = -h f(x + K_1, t - h) + eta g(t - h) dW`; the new state is `x + (K_1 + K_2)/2`, the error
/// `(K_2 - K_1)/2`, in the norm of [`State::error_rows`] with `x` and `x + K_1`. A step with `error <= 1` is accepted; the next length
/// is `safety error^-0.9` times this one, at most 10 and at least 0.2 times. Source: Jolicoeur-Martineau et al. 2021,
/// arXiv:2105.14080, algorithm 1 with extrapolation; the pair is that of Roberts 2012, arXiv:1210.0933, for additive noise.
///
/// What differs from the paper: a rejected step does not draw new noise, which would leave the Brownian path that the error was
/// measured on and favour small increments; it goes half as far (or a quarter, ...) on the same path, a [`BrownianTree`] in `t`. So
/// that all steps are intervals of the tree, a step is the longest of the row's next dyadic intervals that is not longer than
/// wanted. The tolerance is `atol + rtol max(|x|, |x + K_1|)`.
///
/// Strong and weak order 1 (2 for `eta = 0`). Evaluations of a row: 2 an attempt, one more for the final Tweedie step. No evaluation
/// lies outside `[t_end, t_start]`. Normals: about one batch a step. Memory: eight states. Observers see a round of attempts as a
/// step; rows then stand at different times. Preset noise is refused: the steps are not known beforehand.
#[derive(Debug, Clone)]
pub struct AdaptiveSde {
    pub(crate) eta: f64,
    pub(crate) safety: f64,
    pub(crate) t_start: f64,
    pub(crate) t_end: f64,
    pub(crate) limits: Limits,
    pub(crate) final_step: Final,
}

/// Length of the first attempt, as a share of the whole time.
const FIRST_STEP: f64 = 0.01;
/// The reverse SDE at one time: `dx = [drift x - pull score] dt + noise dw`.
#[derive(Debug, Clone, Copy)]
struct Coefs {
    drift: f64,
    pull: f64,
    noise: f64,
}

/// What one row has done.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Where the row stands, and where its attempt ends.
    here: Coefs,
    there: Coefs,
    accepted: u64,
    attempts: u64,
}

/// One run.
struct Run<'a, S: State> {
    method: &'a AdaptiveSde,
    job: &'a Job<'a, S>,
    score_fn: &'a CountedScore<'a, S>,
    walk: Walk<'a, S>,
    rows: Vec<Row>,
    /// Lengths that the next attempts should have.
    wanted: Vec<f64>,
    stages: [Stage; 2],
    error: Vec<f64>,
    factors: Vec<f64>,
    accept: Vec<bool>,
    /// First stage, and the scores, later the new state.
    stage: S,
    score: S,
}

impl AdaptiveSde {
    fn coefs(&self, sde: &dyn Sde, t: f64) -> Coefs {
        let variance = sde.diffusion_sq(t);
        Coefs {
            drift: sde.drift_coef(t),
            pull: 0.5 * (1.0 + self.eta * self.eta) * variance,
            noise: self.eta * variance.sqrt(),
        }
    }
}

impl<'a, S: State> Run<'a, S> {
    fn new(
        method: &'a AdaptiveSde,
        job: &'a Job<'a, S>,
        score_fn: &'a CountedScore<'a, S>,
        x: &S,
    ) -> Result<Self, SolveError> {
        let rows = x.rows();
        let noise = (method.eta > 0.0).then_some(job.noise);
        let tree = BrownianTree::new(method.t_start, method.t_end);
        let here = method.coefs(job.sde, method.t_start);
        let row = Row {
            here,
            there: here,
            accepted: 0,
            attempts: 0,
        };
        Ok(Self {
            method,
            job,
            score_fn,
            walk: Walk::new(tree, noise, x)?,
            rows: vec![row; rows],
            wanted: vec![FIRST_STEP * (method.t_start - method.t_end); rows],
            stages: [Stage::new(rows), Stage::new(rows)],
            error: vec![0.0; rows],
            factors: vec![1.0; rows],
            accept: vec![false; rows],
            stage: x.zeros_like(),
            score: x.zeros_like(),
        })
    }

    fn is_done(&self) -> bool {
        (0..self.rows.len()).all(|row| self.walk.is_done(row))
    }

    /// One attempt of every row that is not done.
    fn attempt(&mut self, x: &mut S) -> Result<(), SolveError> {
        self.check_limits()?;
        self.walk.narrow(&self.wanted)?;
        self.prepare();
        let [first, second] = &self.stages;
        let ahead = &self.walk.ahead;
        self.score_fn
            .evaluate(x, Coef::PerRow(&first.t), &mut self.score)?;
        self.stage.lincomb(&[
            (Coef::PerRow(&first.state), &*x),
            (Coef::PerRow(&first.score), &self.score),
            (Coef::PerRow(&first.noise), ahead),
        ]);
        self.score_fn
            .evaluate(&self.stage, Coef::PerRow(&second.t), &mut self.score)?;
        // (x + (K_1 + K_2)/2) - (x + K_1) = (K_2 - K_1)/2
        self.score.accumulate_error(
            Coef::PerRow(&second.score),
            &[
                (Coef::PerRow(&second.state), &*x),
                (Coef::PerRow(&second.before), &self.stage),
                (Coef::PerRow(&second.noise), ahead),
            ],
            (&*x, &self.stage),
            self.method.limits.tolerance,
            &mut self.error,
        );
        self.judge(x)?;
        x.select_rows(&self.accept, &self.score);
        self.walk.advance(&self.accept);
        Ok(())
    }

    fn check_limits(&mut self) -> Result<(), SolveError> {
        let limits = self.method.limits;
        for index in 0..self.rows.len() {
            if self.walk.is_done(index) {
                continue;
            }
            let (t, id) = (self.walk.from(index), self.job.first_row + index as u64);
            if self.rows[index].attempts >= limits.max_steps {
                return Err(SolveError::StepLimit {
                    row: id,
                    t,
                    steps: limits.max_steps,
                });
            }
            self.rows[index].attempts += 1;
            let step_size = self.wanted[index];
            if step_size < t - self.method.t_end && self.is_too_small(step_size, t) {
                return Err(SolveError::StepTooSmall {
                    row: id,
                    t,
                    step_size,
                });
            }
        }
        Ok(())
    }

    fn is_too_small(&self, step: f64, t: f64) -> bool {
        let least = self.method.limits.min_step.max(self.walk.resolution());
        step < least.max(10.0 * f64::EPSILON * t.abs())
    }

    /// The factors of both stages.
    fn prepare(&mut self) {
        let [first, second] = &mut self.stages;
        for (index, row) in self.rows.iter_mut().enumerate() {
            if self.walk.is_done(index) {
                first.set(index, self.method.t_end, [1.0, 0.0, 0.0, 0.0]);
                second.set(index, self.method.t_end, [1.0, 0.0, 0.0, 0.0]);
                continue;
            }
            let (from, to) = (self.walk.from(index), self.walk.to(index));
            let (h, here) = (from - to, row.here);
            let there = self.method.coefs(self.job.sde, to);
            row.there = there;
            let mean_only = self.method.final_step == Final::Mean && self.walk.is_last(index);
            let noisy = f64::from(u8::from(!mean_only));
            first.set(
                index,
                from,
                [1.0 - h * here.drift, 0.0, h * here.pull, noisy * here.noise],
            );
            let before = 0.5 * (1.0 - h * there.drift);
            second.set(
                index,
                to,
                [0.5, before, 0.5 * h * there.pull, 0.5 * noisy * there.noise],
            );
        }
    }

    /// Books the attempts and chooses the next lengths.
    fn judge(&mut self, x: &S) -> Result<(), SolveError> {
        let log2_safety = self.method.safety.log2();
        simd::dispatch(Factors {
            error: &self.error,
            log2_safety,
            out: &mut self.factors,
        });
        for index in 0..self.rows.len() {
            self.accept[index] = false;
            if self.walk.is_done(index) {
                continue;
            }
            let (from, to) = (self.stages[0].t[index], self.stages[1].t[index]);
            let error = self.error[index];
            self.wanted[index] = self.factors[index] * (from - to);
            if error <= 1.0 {
                self.accept[index] = true;
                self.rows[index].accepted += 1;
                self.rows[index].here = self.rows[index].there;
            } else if !error.is_finite() && self.is_too_small(self.wanted[index], from) {
                return self.not_finite(index, x);
            }
        }
        Ok(())
    }

    /// The error for a row that no step length makes finite: says which evaluation went wrong.
    fn not_finite(&mut self, index: usize, x: &S) -> Result<(), SolveError> {
        let (from, to) = (self.stages[0].t[index], self.stages[1].t[index]);
        let (mut what, mut t) = ("state", from);
        for (state, stage) in [(&self.stage, &self.stages[1]), (x, &self.stages[0])] {
            self.score_fn
                .evaluate(state, Coef::PerRow(&stage.t), &mut self.score)?;
            let (mut given, mut scored) = (true, true);
            let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
            state.read_rows(&mut |row, values| given &= row != index || finite(values));
            self.score
                .read_rows(&mut |row, values| scored &= row != index || finite(values));
            if given && !scored {
                (what, t) = ("score", if stage.t[index] == to { to } else { from });
            }
        }
        Err(SolveError::NonFinite {
            what,
            row: self.job.first_row + index as u64,
            t,
            step: self.rows[index].attempts - 1,
        })
    }
}

impl<S: State> Sampler<S> for AdaptiveSde {
    fn info(&self) -> MethodInfo {
        MethodInfo {
            name: "adaptive-sde",
            order: if self.eta > 0.0 { 1.0 } else { 2.0 },
            evaluations: 2,
            stochastic: self.eta > 0.0,
            couples_rows: false,
        }
    }

    fn t_start(&self) -> f64 {
        self.t_start
    }

    fn run(&self, job: &Job<S>, x: &mut S, observer: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let guard = NanGuard::new(job.first_row);
        guard.check(x, None, self.t_start, self.t_start, 0)?;
        let score = CountedScore::new(job.score);
        let mut run = Run::new(self, job, &score, x)?;
        let mut info = StepInfo {
            step: 0,
            steps: None,
            t: self.t_start,
            nfe: 0,
            first_row: job.first_row,
        };
        observer.start(&info, x);
        let mut stop = StopReason::Finished;
        while !run.is_done() {
            run.attempt(x)?;
            let t = (0..x.rows()).map(|row| run.walk.from(row));
            info = StepInfo {
                t: t.fold(self.t_end, f64::max),
                nfe: score.nfe(),
                ..info
            };
            if observer.step(&info, x).is_break() {
                stop = StopReason::Stopped;
                break;
            }
            info.step += 1;
        }
        let attempts = || run.rows.iter().map(|row| row.attempts);
        let mut stats = SolveStats {
            nfe: 2 * attempts().max().unwrap_or(0),
            steps: run.rows.iter().map(|row| row.accepted).max().unwrap_or(0),
            rejected: run.rows.iter().map(|row| row.attempts - row.accepted).sum(),
            row_evaluations: 2 * attempts().sum::<u64>(),
            stop,
        };
        if stop == StopReason::Finished && self.final_step == Final::Tweedie {
            let before = score.nfe();
            let mut w = Scratch {
                score: run.score,
                noise: run.walk.ahead,
                next: run.stage,
                rows: Vec::new(),
            };
            let end = self.final_step;
            end.apply(job.sde, &score, guard, self.t_end, stats.steps, x, &mut w)?;
            let after = score.nfe() - before;
            stats.nfe += after;
            stats.row_evaluations += after * x.rows() as u64;
        }
        observer.end(&stats, x);
        Ok(stats)
    }
}
