//! A linear network on Gaussian data: the expected gradient of every score-matching loss in closed form. Part of the test `losses` and
//! of the example of that name.
//!
//! `F(u) = A u + b` makes `std s = (c_1 I + c_2 A) x + c_3 b` of a state `x ~ N(m mu, m^2 Sigma + std^2 I)`, and the expected loss is
//! `w (E |std s|^2 + 2 std tr(c_1 I + c_2 A) + d)/d`, whichever way it is estimated.

use std::sync::Arc;

use score_nets::{Given, NetError, ScoreNet};
use sde_core::{PrecondConfig, SdeConfig, WeightingConfig};
use tch::{Device, Kind, Tensor};
use train::config::Reduction;
use train::loss::{Loss, Objective, Origin, TrainDraw};

/// Dimension of the data.
pub const DIM: i64 = 3;
/// Their mean.
const MEAN: [f64; 3] = [0.7, -0.4, 0.2];
/// A square root of their covariance, which is not diagonal.
const ROOT: [f64; 9] = [0.6, 0.0, 0.0, 0.3, 0.5, 0.0, -0.2, 0.1, 0.4];
/// The network.
const MATRIX: [f64; 9] = [-0.9, 0.2, 0.1, -0.3, -0.6, 0.15, 0.05, 0.25, -1.1];
const SHIFT: [f64; 3] = [0.3, -0.1, 0.2];

/// The network, with parameters of its own for every row: the gradient of a sum of losses is then one gradient a row.
#[derive(Debug)]
struct Linear {
    matrix: Tensor,
    shift: Tensor,
}

impl ScoreNet for Linear {
    fn forward(&self, x: &Tensor, _time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(self.matrix.f_matmul(&x.f_unsqueeze(-1)?)?.f_squeeze_dim(-1)? + &self.shift)
    }
}

/// Process, preconditioning, weighting and reduction under test.
pub fn objective(sde: &str, precond: &str, weighting: &str, reduction: Reduction) -> Objective {
    let sde: SdeConfig = toml::from_str(&format!("kind = '{sde}'")).expect("a process");
    let sde = sde.build().expect("usual values");
    let precond: PrecondConfig = toml::from_str(&format!("kind = '{precond}'")).expect("a preconditioning");
    let weighting: WeightingConfig = toml::from_str(&format!("kind = '{weighting}'")).expect("a weighting");
    Objective {
        precond: precond.build(Arc::clone(&sde)).expect("usual values"),
        weighting: weighting.build(Arc::clone(&sde)).expect("usual values"),
        reduction,
        sde,
    }
}

/// Mean gradient of a loss over many rows, beside the exact one.
#[derive(Debug)]
pub struct Check {
    /// Difference and its standard error, for each of the 12 parameters.
    pub errors: Vec<(f64, f64)>,
    /// Norm of the exact gradient.
    pub norm: f64,
    /// Difference of the mean loss to the exact one, and its standard error.
    pub value: (f64, f64),
}

#[allow(dead_code, reason = "the test and the example each look at a part")]
impl Check {
    /// Norm of the difference over that of the exact gradient.
    pub fn relative_error(&self) -> f64 {
        self.errors
            .iter()
            .map(|(error, _)| error * error)
            .sum::<f64>()
            .sqrt()
            / self.norm
    }

    /// What is expected of [`Check::relative_error`] where the estimate is unbiased.
    pub fn standard_error(&self) -> f64 {
        self.errors.iter().map(|(_, std)| std * std).sum::<f64>().sqrt() / self.norm
    }

    /// The largest difference in standard errors, the value of the loss included.
    pub fn largest(&self) -> f64 {
        let all = self.errors.iter().chain([&self.value]);
        all.map(|(error, std)| error.abs() / std.max(1e-12))
            .fold(0.0, f64::max)
    }
}

/// Runs a loss on `rows` rows, a quarter of them at each of four times. The draw of a row is that of the training step `step`.
pub fn check(loss: &dyn Loss, objective: &Objective, shares: [f64; 4], rows: usize, step: u32) -> Check {
    let domain = objective.sde.domain();
    let times = shares.map(|share| domain.train_eps + share * (domain.t_end - domain.train_eps));
    let (kind, count) = ((Kind::Double, Device::Cpu), rows as i64);
    let double = |values: &[f64], shape: &[i64]| Tensor::from_slice(values).view(shape);
    let (matrix, shift) = (double(&MATRIX, &[DIM, DIM]), double(&SHIFT, &[DIM]));
    let (mean, root) = (double(&MEAN, &[DIM]), double(&ROOT, &[DIM, DIM]));
    let normals = score_nets::seeded(2 * i64::from(step), || Tensor::randn([count, DIM], kind));
    let x0 = normals.matmul(&root.tr()) + &mean;
    let draw = TrainDraw {
        times: (0..rows).map(|row| times[row % 4]).collect(),
        ratios: vec![1.0; rows],
        noise: score_nets::seeded(2 * i64::from(step) + 1, || Tensor::randn([count, DIM], kind)),
        train: true,
        given: Given::default(),
        origin: Origin {
            seed: u64::from(step),
            ..Origin::default()
        },
    };
    let net = Linear {
        matrix: matrix.repeat([count, 1, 1]).set_requires_grad(true),
        shift: shift.repeat([count, 1]).set_requires_grad(true),
    };
    let per_row = loss.per_row(&net, &x0, &draw).expect("shapes fit");
    per_row.sum(Kind::Double).backward();
    let gradients = Tensor::cat(&[net.matrix.grad().view([count, -1]), net.shift.grad()], 1);

    let exact: Vec<(f64, Tensor)> = times
        .iter()
        .map(|t| exact(objective, *t, &matrix, &shift, &mean, &root))
        .collect();
    let value = exact.iter().map(|(value, _)| value).sum::<f64>() / 4.0;
    let gradient = exact.iter().map(|(_, gradient)| gradient).sum::<Tensor>() / 4.0;
    let deviations = |values: &Tensor, exact: f64| {
        let error = values.mean(Kind::Double).double_value(&[]) - exact;
        (error, values.std(true).double_value(&[]) / (rows as f64).sqrt())
    };
    Check {
        errors: (0..gradient.size()[0])
            .map(|i| deviations(&gradients.select(1, i), gradient.double_value(&[i])))
            .collect(),
        norm: gradient.norm().double_value(&[]),
        value: deviations(&per_row.detach(), value),
    }
}

/// The expected loss at one time and its gradient with respect to matrix and shift.
fn exact(
    objective: &Objective,
    t: f64,
    matrix: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    root: &Tensor,
) -> (f64, Tensor) {
    let Objective {
        sde,
        precond,
        weighting,
        reduction,
    } = objective;
    let (kernel, net) = (sde.marginal(t), precond.coefs(t));
    let (m, std) = (kernel.mean_coef, kernel.std);
    let (own, of_input, of_shift) = (
        std * net.score_skip,
        std * net.score_out * net.input,
        std * net.score_out,
    );
    let eye = Tensor::eye(DIM, (Kind::Double, Device::Cpu));
    let mean = mean * m;
    let second = root.matmul(&root.tr()) * (m * m) + &eye * (std * std) + mean.outer(&mean);
    let whole = &eye * own + matrix * of_input;
    let shift = shift * of_shift;
    // E[(std s) x^T] and E[std s]
    let with_state = whole.matmul(&second) + shift.outer(&mean);
    let mean_score = whole.matmul(&mean) + &shift;
    let square = whole.matmul(&with_state.tr()).trace() + mean_score.dot(&shift);
    let dim = DIM as f64;
    let factor = weighting.weight(t)
        * match reduction {
            Reduction::Mean => 1.0 / dim,
            Reduction::Sum => 1.0,
        };
    let value = factor * (square + whole.trace() * (2.0 * std) + dim).double_value(&[]);
    let of_matrix = (with_state + eye * std) * (2.0 * of_input * factor);
    let of_shift = mean_score * (2.0 * of_shift * factor);
    (value, Tensor::cat(&[of_matrix.view(-1), of_shift], 0))
}
