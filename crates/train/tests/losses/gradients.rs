//! Denoising, implicit and sliced score matching have one gradient in expectation.

use score_nets::{Given, NetError, ScoreNet};
use tch::{Device, Kind, Tensor};
use train::config::Reduction;
use train::loss::{Dsm, Implicit, Loss, Objective, Origin, Projection, Sliced, TrainDraw};

use crate::linear::{DIM, check, objective};

const PROJECTIONS: [Projection; 3] = [Projection::Rademacher, Projection::Gaussian, Projection::Sphere];

/// Every loss with a name.
fn losses(objective: &Objective) -> Vec<(String, Box<dyn Loss>)> {
    let mut all: Vec<(String, Box<dyn Loss>)> = vec![
        ("dsm".to_owned(), Box::new(Dsm::of(objective.clone()))),
        (
            "dsm with a control variate".to_owned(),
            Box::new(Dsm::of(objective.clone()).with_control_variate(f64::INFINITY)),
        ),
        ("implicit".to_owned(), Box::new(Implicit::new(objective.clone()))),
    ];
    for projection in PROJECTIONS {
        for (count, reduced) in [(1, false), (1, true), (3, false), (3, true)] {
            let name = format!("sliced {projection:?}, {count}, reduced {reduced}");
            let loss = Sliced::new(objective.clone(), projection, count, reduced);
            all.push((name, Box::new(loss)));
        }
    }
    all
}

/// Loss and gradient, each of 12 components, lie within five standard errors of the closed form, and the standard error of the
/// gradient is small enough to see a wrong factor.
#[test]
fn all_losses_have_the_exact_gradient_in_expectation() {
    tch::set_num_threads(1);
    let mut step = 0;
    let unit = [0.1, 0.2, 0.4, 0.8];
    for (sde, precond, weighting, shares) in [
        ("vp", "score", "sigma2", unit),
        ("vp", "eps", "edm", unit),
        ("subvp", "x0", "min-snr", unit),
        ("ve", "edm", "sigma2", [0.2, 0.3, 0.4, 0.5]),
        // Times of the EDM process are noise levels up to 80.
        ("edm", "v", "edm", [0.003, 0.006, 0.012, 0.025]),
    ] {
        let objective = objective(sde, precond, weighting, Reduction::Mean);
        for (name, loss) in losses(&objective) {
            step += 1;
            let check = check(loss.as_ref(), &objective, shares, 40_000, step);
            let place = format!("{name} on {sde} with {precond}, {weighting}");
            assert!(check.largest() < 5.0, "{place}: {check:?}");
            assert!(
                check.standard_error() < 0.1,
                "{place}: {}",
                check.standard_error()
            );
        }
    }
}

/// `tanh(x)`: the Jacobian is diagonal.
#[derive(Debug)]
struct Tanh;

impl ScoreNet for Tanh {
    fn forward(&self, x: &Tensor, _time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        Ok(x.f_tanh()?)
    }
}

/// Clean data and a draw at different times.
fn batch(rows: usize, dim: i64) -> (Tensor, TrainDraw) {
    let normals = |seed| {
        score_nets::seeded(seed, || {
            Tensor::randn([rows as i64, dim], (Kind::Double, Device::Cpu))
        })
    };
    let draw = TrainDraw {
        times: (0..rows).map(|row| (row + 1) as f64 / rows as f64).collect(),
        ratios: (0..rows).map(|row| 1.0 + 0.1 * row as f64).collect(),
        noise: normals(1),
        train: true,
        given: Given::default(),
        origin: Origin::default(),
    };
    (normals(2), draw)
}

fn values(loss: &dyn Loss, x0: &Tensor, draw: &TrainDraw) -> Vec<f64> {
    let per_row = loss.per_row(&Tanh, x0, draw).expect("shapes fit");
    Vec::<f64>::try_from(per_row.detach()).expect("one number a row")
}

fn near(place: &str, left: &[f64], right: &[f64]) {
    assert_eq!(left.len(), right.len(), "{place}");
    for (left, right) in left.iter().zip(right) {
        assert!(
            (left - right).abs() < 1e-11 * right.abs().max(1.0),
            "{place}: {left} {right}"
        );
    }
}

/// The sum over the values of a row is `d` times their mean, for each kind.
#[test]
fn sums_are_means_times_the_dimension() {
    tch::set_num_threads(1);
    let of = |reduction| losses(&objective("vp", "edm", "likelihood", reduction));
    let (x0, draw) = batch(16, DIM);
    for ((name, mean), (_, sum)) in of(Reduction::Mean).iter().zip(of(Reduction::Sum)) {
        let mean: Vec<f64> = values(mean.as_ref(), &x0, &draw)
            .iter()
            .map(|v| v * DIM as f64)
            .collect();
        near(name, &values(sum.as_ref(), &x0, &draw), &mean);
    }
}

/// Where the Jacobian is diagonal, signs give the divergence exactly.
#[test]
fn signs_are_exact_on_diagonal_jacobians() {
    tch::set_num_threads(1);
    let objective = objective("ve", "v", "edm", Reduction::Mean);
    let (x0, draw) = batch(8, 5);
    let exact = values(&Implicit::new(objective.clone()), &x0, &draw);
    for projections in [1, 4] {
        let sliced = Sliced::new(objective.clone(), Projection::Rademacher, projections, true);
        near("signs", &values(&sliced, &x0, &draw), &exact);
    }
    // Other projections are not, so that the test sees the projection.
    let sliced = Sliced::new(objective, Projection::Gaussian, 1, true);
    let off = values(&sliced, &x0, &draw);
    assert!(
        off.iter().zip(&exact).all(|(a, b)| (a - b).abs() > 1e-6),
        "{off:?} {exact:?}"
    );
}

/// Projections belong to (seed, step, slot): a batch in two pieces has the losses of the whole, and the next step others.
#[test]
fn projections_are_addressed() {
    tch::set_num_threads(1);
    let objective = objective("vp", "eps", "sigma2", Reduction::Mean);
    for projection in PROJECTIONS {
        let loss = Sliced::new(objective.clone(), projection, 2, false);
        let (x0, draw) = batch(10, DIM);
        let whole = values(&loss, &x0, &draw);
        let piece = |first: i64, len: i64| {
            let (from, to) = (first as usize, (first + len) as usize);
            let part = TrainDraw {
                times: draw.times[from..to].to_vec(),
                ratios: draw.ratios[from..to].to_vec(),
                noise: draw.noise.narrow(0, first, len),
                origin: Origin {
                    first_slot: first as u64,
                    ..draw.origin
                },
                given: Given::default(),
                ..draw
            };
            values(&loss, &x0.narrow(0, first, len), &part)
        };
        near("pieces", &[piece(0, 3), piece(3, 7)].concat(), &whole);
        let next = TrainDraw {
            origin: Origin {
                seed: 1,
                ..draw.origin
            },
            noise: draw.noise.shallow_clone(),
            times: draw.times.clone(),
            ratios: draw.ratios.clone(),
            given: Given::default(),
            ..draw
        };
        let next = values(&loss, &x0, &next);
        // Few signs in few dimensions are the same by chance now and then.
        assert!(next.iter().zip(&whole).filter(|(a, b)| a != b).count() > 5);
    }
}

/// Validation asks for losses while no gradients are recorded.
#[test]
fn losses_are_the_same_without_gradients() {
    tch::set_num_threads(1);
    let objective = objective("vp", "x0", "sigma2", Reduction::Mean);
    let (x0, draw) = batch(6, DIM);
    for (name, loss) in losses(&objective) {
        let without = tch::no_grad(|| values(loss.as_ref(), &x0, &draw));
        assert_eq!(without, values(loss.as_ref(), &x0, &draw), "{name}");
    }
}

#[test]
fn the_exact_divergence_is_for_short_rows() {
    tch::set_num_threads(1);
    let loss = Implicit::new(objective("vp", "eps", "sigma2", Reduction::Mean));
    let (x0, draw) = batch(2, 64);
    assert!(loss.per_row(&Tanh, &x0, &draw).is_ok());
    let (x0, draw) = batch(2, 65);
    let said = loss.per_row(&Tanh, &x0, &draw).expect_err("too long").to_string();
    assert_eq!(
        said,
        "loss.kind = implicit: the exact divergence costs a backward pass for each of the 65 values of a row, 64 at most; \
         use loss.kind = \"sliced\""
    );
}
