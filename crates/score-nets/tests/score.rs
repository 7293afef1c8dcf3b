//! A network as a score function.

mod common;

use std::sync::Arc;

use common::{distance, normals, redrawn, small};
use score_nets::{NetError, NetScore, ScoreNet, TensorState};
use sde_core::Sde;
use sde_core::config::SdeConfig;
use sde_core::precond::{Precond, PrecondConfig};
use solvers::{Coef, ScoreFn, ScoreVjp, SolveError, State};
use tch::{Kind, Tensor};

fn preconds() -> Vec<Precond> {
    let sde = |text: &str| -> Arc<dyn Sde> {
        toml::from_str::<SdeConfig>(text)
            .expect("parses")
            .build()
            .expect("sound")
    };
    let precond = |text: &str, sde: &Arc<dyn Sde>| {
        toml::from_str::<PrecondConfig>(text)
            .expect("parses")
            .build(sde.clone())
            .expect("sound")
    };
    let (vp, edm) = (sde("kind = \"vp\""), sde("kind = \"edm\""));
    vec![
        precond("kind = \"eps\"\ntime_input = \"log-sigma-quarter\"", &vp),
        precond("kind = \"x0\"\ntime_input = \"log-sigma-quarter\"", &vp),
        precond("kind = \"edm\"", &edm),
    ]
}

fn state(tensor: Tensor) -> TensorState {
    TensorState::new(tensor).expect("a state")
}

/// `score(x)` as the definition says, row by row, with coefficients applied in f64.
#[test]
fn score_is_skip_plus_scaled_output() {
    for (config, shape) in small() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Double);
        for precond in preconds() {
            let times = [0.2, 0.5, 0.9];
            let x = state(normals(3, &shape, Kind::Double));
            let mut out = x.zeros_like();
            let score = NetScore::new(&*net, precond.clone()).with_kind(Kind::Double);
            score.score(&x, Coef::PerRow(&times), &mut out).expect("runs");
            for (row, t) in times.into_iter().enumerate() {
                let c = precond.coefs(t);
                let own = x.tensor().narrow(0, row as i64, 1);
                let f = net
                    .forward(&(&own * c.input), &Tensor::from_slice(&[c.time]), false)
                    .expect("runs");
                let need = own * c.score_skip + f * c.score_out;
                let size = need.abs().max().double_value(&[]);
                assert!(distance(&need, &out.tensor().narrow(0, row as i64, 1)) < 1e-12 * size);
            }
        }
    }
}

#[test]
fn one_time_for_all_is_that_time_for_each_row_in_any_split() {
    for (config, shape) in small() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Float);
        for precond in preconds() {
            let x = state(normals(5, &shape, Kind::Float));
            let run = |max_rows, t: Coef| {
                let mut out = x.zeros_like();
                let score = NetScore::new(&*net, precond.clone()).with_max_rows(max_rows);
                score.score(&x, t, &mut out).expect("runs");
                out.into_tensor()
            };
            let whole = run(100, Coef::All(0.4));
            let size = whole.abs().max().double_value(&[]);
            for max_rows in [0, 1, 2, 5] {
                assert!(distance(&whole, &run(max_rows, Coef::All(0.4))) < 2e-6 * size);
                assert!(distance(&whole, &run(max_rows, Coef::PerRow(&[0.4; 5]))) < 2e-6 * size);
            }
        }
    }
}

/// Central differences of `<score, v>` along a direction, in f64.
#[test]
fn vjp_agrees_with_finite_differences() {
    for (config, shape) in small() {
        let (_vs, net) = redrawn(&config, &shape, Kind::Double);
        for precond in preconds() {
            let score = NetScore::new(&*net, precond)
                .with_kind(Kind::Double)
                .with_max_rows(2);
            let times = [0.2, 0.5, 0.9];
            let draw = || state(normals(3, &shape, Kind::Double));
            let (x, v, direction) = (draw(), draw(), draw());
            let (mut at, mut vjp, mut plain) = (x.zeros_like(), x.zeros_like(), x.zeros_like());
            score
                .score_vjp(&x, Coef::PerRow(&times), &v, &mut at, &mut vjp)
                .expect("runs");
            score.score(&x, Coef::PerRow(&times), &mut plain).expect("runs");
            assert!(
                distance(at.tensor(), plain.tensor()) < 1e-12 * plain.tensor().abs().max().double_value(&[])
            );
            let h = 1e-5;
            let moved = |sign: f64| {
                let mut moved = x.clone();
                moved.axpy(Coef::All(sign * h), &direction);
                let mut out = x.zeros_like();
                score.score(&moved, Coef::PerRow(&times), &mut out).expect("runs");
                let mut product = [0.0; 3];
                out.dot_rows(&v, &mut product);
                product
            };
            let (up, down) = (moved(1.0), moved(-1.0));
            let mut need = [0.0; 3];
            vjp.dot_rows(&direction, &mut need);
            for row in 0..3 {
                let slope = (up[row] - down[row]) / (2.0 * h);
                let scale = need[row].abs().max(vjp.tensor().abs().max().double_value(&[]));
                assert!(
                    (slope - need[row]).abs() < 1e-6 * scale,
                    "{slope} {} {config:?}",
                    need[row]
                );
            }
        }
    }
}

#[test]
fn empty_batches_and_values_that_are_not_finite_pass() {
    let (config, shape) = small().swap_remove(2);
    let (_vs, net) = redrawn(&config, &shape, Kind::Float);
    let score = NetScore::new(&*net, preconds().swap_remove(0));
    let empty = state(normals(0, &shape, Kind::Float));
    score
        .score(&empty, Coef::All(0.5), &mut empty.zeros_like())
        .expect("nothing to do");
    let x = normals(3, &shape, Kind::Float);
    let _ = x.get(1).fill_(f64::NAN);
    let mut out = state(x.zeros_like());
    score
        .score(&state(x), Coef::All(0.5), &mut out)
        .expect("passes through");
    assert_eq!(out.first_non_finite_row(), Some(1));
    assert!(out.tensor().get(0).isfinite().all().int64_value(&[]) != 0);
    assert!(out.tensor().get(2).isfinite().all().int64_value(&[]) != 0);
}

/// Returns its input itself, or something of another shape, or a constant.
#[derive(Debug)]
struct Odd(&'static str);

impl ScoreNet for Odd {
    fn forward(&self, x: &Tensor, _time: &Tensor, _train: bool) -> Result<Tensor, NetError> {
        match self.0 {
            "same" => Ok(x.shallow_clone()),
            "constant" => Ok(x.detach().zeros_like()),
            _ => Ok(x.sum_dim_intlist(1, false, Kind::Float)),
        }
    }
}

#[test]
fn networks_of_users_may_be_odd() {
    let x = state(normals(3, &[4], Kind::Float));
    let before = x.tensor().copy();
    let run = |net: &'static str, vjp: &mut TensorState| {
        let (net, mut score) = (Odd(net), x.zeros_like());
        let wrapped = NetScore::new(&net, preconds().swap_remove(0));
        wrapped.score_vjp(&x, Coef::All(0.5), &x, &mut score, vjp)
    };
    let mut vjp = x.zeros_like();
    run("same", &mut vjp).expect("runs");
    assert_eq!(*x.tensor(), before, "the state was written to");
    assert!(!x.tensor().requires_grad() && !vjp.tensor().requires_grad());
    run("constant", &mut vjp).expect("runs");
    assert_eq!(vjp.tensor().abs().sum(Kind::Float).double_value(&[]), 0.0);
    let error = run("sum", &mut vjp).expect_err("another shape");
    assert!(
        matches!(error, SolveError::Score { t: 0.5, ref reason } if reason.contains("output of the network"))
    );
    let net = Odd("same");
    let wrapped = NetScore::new(&net, preconds().swap_remove(0));
    let error = wrapped
        .score(&x, Coef::PerRow(&[0.5]), &mut x.zeros_like())
        .expect_err("too few times");
    assert!(matches!(error, SolveError::Shape { .. }));
    let mut short = state(normals(2, &[4], Kind::Float));
    assert!(matches!(
        wrapped.score(&x, Coef::All(0.5), &mut short),
        Err(SolveError::Shape { .. })
    ));
}
