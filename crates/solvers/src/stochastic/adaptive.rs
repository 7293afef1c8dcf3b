mod control;

use self::control::{NextLengths, Prepare, Rates, Stages};
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

/// One run.
struct Run<'a, S: State> {
    method: &'a AdaptiveSde,
    job: &'a Job<'a, S>,
    score_fn: &'a CountedScore<'a, S>,
    walk: Walk<'a, S>,
    /// Rounds so far: the attempts of each row that is not done.
    rounds: u64,
    attempts: u64,
    /// Steps accepted, by row.
    accepted: Vec<u64>,
    /// Lengths that the next attempts should have.
    wanted: Vec<f64>,
    /// The SDE where the rows stand and where their attempts end.
    here: Rates,
    there: Rates,
    stages: Stages,
    error: Vec<f64>,
    accept: Vec<bool>,
    /// First stage, and the scores, later the new state.
    stage: S,
    score: S,
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
        let walk = Walk::new(tree, noise, x)?;
        let mut here = Rates::new(rows);
        here.find(job.sde, &walk.from);
        Ok(Self {
            method,
            job,
            score_fn,
            walk,
            rounds: 0,
            attempts: 0,
            accepted: vec![0; rows],
            wanted: vec![FIRST_STEP * (method.t_start - method.t_end); rows],
            here,
            there: Rates::new(rows),
            stages: Stages::new(rows, method.eta),
            error: vec![0.0; rows],
            accept: vec![false; rows],
            stage: x.zeros_like(),
            score: x.zeros_like(),
        })
    }

    fn is_done(&self) -> bool {
        (0..self.error.len()).all(|row| self.walk.is_done(row))
    }

    /// One attempt of every row that is not done.
    fn attempt(&mut self, x: &mut S) -> Result<(), SolveError> {
        self.check_limits()?;
        self.walk.narrow(&self.wanted)?;
        self.prepare();
        let [first, second] = &self.stages.coefs;
        let walk = &self.walk;
        self.score_fn
            .evaluate(x, Coef::PerRow(&walk.from), &mut self.score)?;
        self.stage.lincomb(&[
            (Coef::PerRow(&first.state), &*x),
            (Coef::PerRow(&first.score), &self.score),
        ]);
        walk.add_ahead(&first.noise, &mut self.stage);
        self.score_fn
            .evaluate(&self.stage, Coef::PerRow(&walk.to), &mut self.score)?;
        self.score.accumulate(
            Coef::PerRow(&second.score),
            &[(Coef::All(0.5), &*x), (Coef::PerRow(&second.state), &self.stage)],
        );
        walk.add_ahead(&second.noise, &mut self.score);
        // (x + (K_1 + K_2)/2) - (x + K_1) = (K_2 - K_1)/2
        let tolerance = self.method.limits.tolerance;
        self.score
            .distance_rows(x, &self.stage, tolerance, &mut self.error);
        self.judge(x)?;
        x.select_rows(&self.accept, &self.score);
        Ok(())
    }

    fn check_limits(&mut self) -> Result<(), SolveError> {
        let limits = self.method.limits;
        for (index, step_size) in self.wanted.iter().enumerate() {
            if self.walk.is_done(index) {
                continue;
            }
            let (t, row) = (self.walk.from[index], self.job.first_row + index as u64);
            if self.rounds >= limits.max_steps {
                let steps = limits.max_steps;
                return Err(SolveError::StepLimit { row, t, steps });
            }
            self.attempts += 1;
            let step_size = *step_size;
            if step_size < t - self.method.t_end && self.is_too_small(step_size, t) {
                return Err(SolveError::StepTooSmall { row, t, step_size });
            }
        }
        self.rounds += 1;
        Ok(())
    }

    fn is_too_small(&self, step: f64, t: f64) -> bool {
        let least = self.method.limits.min_step.max(self.walk.resolution());
        step < least.max(10.0 * f64::EPSILON * t.abs())
    }

    /// The factors of both stages.
    fn prepare(&mut self) {
        self.there.find(self.job.sde, &self.walk.to);
        if self.method.final_step == Final::Mean {
            for (row, noisy) in self.stages.noisy.iter_mut().enumerate() {
                *noisy = f64::from(u8::from(!self.walk.is_last(row)));
            }
        }
        let ends = [&self.walk.from[..], &self.walk.to[..]];
        simd::dispatch(Prepare(&mut self.stages, ends, [&self.here, &self.there]));
    }

    /// Books the attempts and chooses the next lengths.
    fn judge(&mut self, x: &S) -> Result<(), SolveError> {
        simd::dispatch(NextLengths {
            error: &self.error,
            ends: [&self.walk.from, &self.walk.to],
            log2_safety: self.method.safety.log2(),
            out: &mut self.wanted,
        });
        for index in 0..self.error.len() {
            let (error, done) = (self.error[index], self.walk.is_done(index));
            self.accept[index] = error <= 1.0 && !done;
            if self.accept[index] {
                self.accepted[index] += 1;
                self.here.take(index, &self.there);
                self.walk.advance(index);
            } else if !error.is_finite() && !done {
                let too_small = self.is_too_small(self.wanted[index], self.walk.from[index]);
                if too_small {
                    return self.not_finite(index, x);
                }
            }
        }
        Ok(())
    }

    /// The error for a row that no step length makes finite: says which evaluation went wrong.
    fn not_finite(&mut self, index: usize, x: &S) -> Result<(), SolveError> {
        let (mut what, mut t) = ("state", self.walk.from[index]);
        for (state, times) in [(&self.stage, &self.walk.to), (x, &self.walk.from)] {
            self.score_fn
                .evaluate(state, Coef::PerRow(times), &mut self.score)?;
            let (mut given, mut scored) = (true, true);
            let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
            state.read_rows(&mut |row, values| given &= row != index || finite(values));
            self.score
                .read_rows(&mut |row, values| scored &= row != index || finite(values));
            if given && !scored {
                (what, t) = ("score", times[index]);
            }
        }
        Err(SolveError::NonFinite {
            what,
            row: self.job.first_row + index as u64,
            t,
            step: self.rounds - 1,
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
            info = StepInfo {
                t: run.walk.from.iter().copied().fold(self.t_end, f64::max),
                nfe: score.nfe(),
                ..info
            };
            if observer.step(&info, x).is_break() {
                stop = StopReason::Stopped;
                break;
            }
            info.step += 1;
        }
        let mut stats = SolveStats {
            nfe: 2 * run.rounds,
            steps: run.accepted.iter().copied().max().unwrap_or(0),
            rejected: run.attempts - run.accepted.iter().sum::<u64>(),
            row_evaluations: 2 * run.attempts,
            stop,
            t: info.t,
        };
        if stop == StopReason::Finished && self.final_step == Final::Tweedie {
            let before = score.nfe();
            let Run {
                score: last,
                stage: next,
                walk,
                ..
            } = run;
            drop(walk);
            let mut w = Scratch {
                score: last,
                noise: x.zeros_like(),
                next,
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
