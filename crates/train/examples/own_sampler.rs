//! A sampler of one's own: Euler steps down the probability-flow ODE `dx = [a x - g^2 score / 2] dt`.
#![allow(clippy::print_stdout)]
use solvers::{Coef, Job, MethodInfo, Observer, Sampler, SolveError, SolveStats, State, StopReason};
use train::{TrainError, config::load_text, trainer::Trainer};

struct Euler(u64);
#[rustfmt::skip]
impl<S: State> Sampler<S> for Euler {
    fn info(&self) -> MethodInfo {
        MethodInfo { name: "euler", order: 1.0, evaluations: 1, stochastic: false, couples_rows: false }
    }
    fn t_start(&self) -> f64 {
        1.0
    }
    fn run(&self, job: &Job<S>, x: &mut S, _: &mut dyn Observer<S>) -> Result<SolveStats, SolveError> {
        let (mut score, gap, rows) = (x.zeros_like(), 0.999 / self.0 as f64, x.rows() as u64);
        for t in (0..self.0).map(|step| 1.0 - step as f64 * gap) {
            job.score.score(x, Coef::All(t), &mut score)?;
            x.scale(Coef::All(1.0 - gap * job.sde.drift_coef(t)));
            x.axpy(Coef::All(0.5 * gap * job.sde.diffusion_sq(t)), &score);
        }
        let (nfe, row_evaluations, stop) = (self.0, self.0 * rows, StopReason::Finished);
        Ok(SolveStats { nfe, steps: nfe, rejected: 0, row_evaluations, stop, t: 1e-3 })
    }
}

fn main() -> Result<(), TrainError> {
    let text = "data.kind = 'toy-2d'\nnet.hidden_size = 64\ntrain.steps = 1000";
    let config = load_text(text, "own_sampler".as_ref(), &[])?.config;
    let mut trainer = Trainer::new(&config, tch::Device::Cpu)?;
    trainer.fit(&mut [])?;
    let samples = trainer.sample(&Euler(100), 1000, 0)?;
    println!("{} points from {} evaluations", samples.rows(), samples.nfe);
    Ok(())
}
