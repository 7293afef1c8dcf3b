//! A network with its preconditioning is a score function.

use sde_core::precond::{NetCoefs, Precond};
use solvers::{Coef, ScoreFn, ScoreVjp, SolveError, State};
use tch::{Kind, Tensor, no_grad, with_grad};

use crate::{Given, NetError, ScoreNet, TensorState};

/// `score = score_skip x + score_out F(input x, time)`, the coefficients computed on the host in f64.
///
/// The batch is cut into pieces of at most `max_rows` rows, so that memory does not grow with it; libtorch may
/// sum in another order for another number of rows, so results agree over splits to rounding, not to the bit.
/// Evaluates without gradients and with dropout off. Values that are not finite pass through: samplers look for
/// them and name row and time.
#[derive(Debug)]
pub struct NetScore<'a> {
    net: &'a dyn ScoreNet,
    precond: Precond,
    kind: Kind,
    max_rows: usize,
    given: Given,
}

impl<'a> NetScore<'a> {
    /// A network of f32 parameters; states of either type may be passed.
    pub fn new(net: &'a dyn ScoreNet, precond: Precond) -> Self {
        NetScore {
            net,
            precond,
            kind: Kind::Float,
            max_rows: 256,
            given: Given::default(),
        }
    }

    /// The type of the network's parameters.
    #[must_use]
    pub fn with_kind(self, kind: Kind) -> Self {
        NetScore { kind, ..self }
    }

    /// At most so many rows a pass through the network (0 counts as 1).
    #[must_use]
    pub fn with_max_rows(self, max_rows: usize) -> Self {
        NetScore {
            max_rows: max_rows.max(1),
            ..self
        }
    }

    /// What the network is told of the rows of the states that are passed: of each of them, in their order. The state must then keep
    /// its rows, as it does where [`ScoreFn::takes_any_rows`] is false.
    #[must_use]
    pub fn with_given(self, given: Given) -> Self {
        NetScore { given, ..self }
    }

    /// The preconditioning.
    pub fn precond(&self) -> &Precond {
        &self.precond
    }

    /// Runs `f` on every piece of the batch.
    fn pieces(
        &self,
        x: &TensorState,
        t: Coef,
        mut f: impl FnMut(&Piece) -> Result<(), NetError>,
    ) -> Result<(), SolveError> {
        let rows = x.rows();
        let shared = match t {
            Coef::All(t) => Some(self.precond.coefs(t)),
            Coef::PerRow(times) if times.len() != rows => {
                let (got, need) = (times.len().to_string(), format!("{rows}, one a row"));
                return Err(SolveError::Shape {
                    what: "times of a score evaluation",
                    got,
                    need,
                });
            }
            Coef::PerRow(_) => None,
        };
        for first in (0..rows).step_by(self.max_rows) {
            let len = self.max_rows.min(rows - first);
            let piece = match shared {
                Some(coefs) => Piece {
                    first,
                    len,
                    coefs: Coefs::All(coefs),
                },
                None => {
                    let each = (first..first + len)
                        .map(|row| self.precond.coefs(t.at(row)))
                        .collect();
                    Piece {
                        first,
                        len,
                        coefs: Coefs::PerRow(each),
                    }
                }
            };
            f(&piece).map_err(|e| SolveError::Score {
                t: t.at(first),
                reason: e.to_string(),
            })?;
        }
        Ok(())
    }

    /// Refuses a network that returns something else than it was given.
    fn forward(&self, x: &Tensor, time: &Tensor, first: usize) -> Result<Tensor, NetError> {
        let given = self.given.narrow(first as i64, x.size()[0])?;
        let out = self.net.forward_given(x, time, &given, false)?;
        if out.size() != x.size() {
            let need = format!("{:?}, the shape of its input", x.size());
            return Err(NetError::Shape {
                what: "output of the network",
                got: out.size(),
                need,
            });
        }
        Ok(out)
    }
}

enum Coefs {
    All(NetCoefs),
    PerRow(Vec<NetCoefs>),
}

struct Piece {
    first: usize,
    len: usize,
    coefs: Coefs,
}

impl Piece {
    fn of(&self, state: &TensorState) -> Result<Tensor, NetError> {
        Ok(state.tensor().f_narrow(0, self.first as i64, self.len as i64)?)
    }

    /// One coefficient, shaped to multiply rows of `like`: `None` if it is 1 for all of them.
    fn factor(&self, pick: fn(&NetCoefs) -> f64, like: &Tensor) -> Result<Option<Tensor>, NetError> {
        let mut shape = vec![1; like.dim()];
        let values = match &self.coefs {
            Coefs::All(coefs) if pick(coefs) == 1.0 => return Ok(None),
            Coefs::All(coefs) => vec![pick(coefs)],
            Coefs::PerRow(each) => {
                shape[0] = self.len as i64;
                each.iter().map(pick).collect()
            }
        };
        let tensor = Tensor::f_from_slice(&values)?
            .f_to_kind(like.kind())?
            .f_to_device(like.device())?;
        Ok(Some(tensor.f_view(shape.as_slice())?))
    }

    fn times(&self, pick: fn(&NetCoefs) -> f64, x: &Tensor) -> Result<Tensor, NetError> {
        Ok(match self.factor(pick, x)? {
            Some(factor) => x.f_mul(&factor)?,
            None => x.shallow_clone(),
        })
    }

    /// The network's time input: expanded from one value where all rows share it.
    fn time(&self, like: &Tensor) -> Result<Tensor, NetError> {
        let options = (like.kind(), like.device());
        Ok(match &self.coefs {
            Coefs::All(coefs) => {
                Tensor::f_full([1], coefs.time, options)?.f_expand([self.len as i64], false)?
            }
            Coefs::PerRow(each) => {
                let times: Vec<f64> = each.iter().map(|coefs| coefs.time).collect();
                Tensor::f_from_slice(&times)?
                    .f_to_kind(options.0)?
                    .f_to_device(options.1)?
            }
        })
    }

    /// `out <- skip a + scale b`, rounded once in the type of `out`.
    fn combine(
        &self,
        out: &mut TensorState,
        (skip, a): (fn(&NetCoefs) -> f64, &Tensor),
        (scale, b): (fn(&NetCoefs) -> f64, &Tensor),
    ) -> Result<(), NetError> {
        let mut target = self.of(out)?;
        let b = b.f_to_kind(target.kind())?;
        match self.factor(scale, &b)? {
            Some(factor) => drop(b.f_mul_out(&target, &factor)?),
            None => target.f_copy_(&b)?,
        }
        let skips = match &self.coefs {
            Coefs::All(coefs) => skip(coefs) != 0.0,
            Coefs::PerRow(each) => each.iter().any(|coefs| skip(coefs) != 0.0),
        };
        if skips {
            let a = a.f_to_kind(target.kind())?;
            match self.factor(skip, &a)? {
                Some(factor) => drop(target.f_addcmul_(&a, &factor)?),
                None => drop(target.f_add_(&a)?),
            }
        }
        Ok(())
    }
}

fn check_same(what: &'static str, state: &TensorState, x: &TensorState) -> Result<(), SolveError> {
    let (got, need) = (state.tensor().size(), x.tensor().size());
    if got == need {
        return Ok(());
    }
    Err(SolveError::Shape {
        what,
        got: format!("{got:?}"),
        need: format!("{need:?}"),
    })
}

impl ScoreFn<TensorState> for NetScore<'_> {
    fn score(&self, x: &TensorState, t: Coef, out: &mut TensorState) -> Result<(), SolveError> {
        check_same("score", out, x)?;
        no_grad(|| {
            self.pieces(x, t, |piece| {
                let rows = piece.of(x)?;
                let input = piece.times(|c| c.input, &rows.f_to_kind(self.kind)?)?;
                let f = self.forward(&input, &piece.time(&input)?, piece.first)?;
                piece.combine(out, (|c| c.score_skip, &rows), (|c| c.score_out, &f))
            })
        })
    }
}

impl ScoreVjp<TensorState> for NetScore<'_> {
    fn score_vjp(
        &self,
        x: &TensorState,
        t: Coef,
        v: &TensorState,
        score: &mut TensorState,
        vjp: &mut TensorState,
    ) -> Result<(), SolveError> {
        check_same("score", score, x)?;
        check_same("vector", v, x)?;
        check_same("vector-Jacobian product", vjp, x)?;
        no_grad(|| {
            self.pieces(x, t, |piece| {
                let (rows, v_rows) = (piece.of(x)?, piece.of(v)?);
                let input = piece.times(|c| c.input, &rows.f_to_kind(self.kind)?)?;
                let input = input.f_detach()?.f_set_requires_grad(true)?;
                let f = with_grad(|| self.forward(&input, &piece.time(&input)?, piece.first))?;
                // v^T J = score_skip v + input (score_out v)^T dF/d(input x)
                let weight = piece.times(|c| c.score_out, &v_rows.f_to_kind(self.kind)?)?;
                let product = with_grad(|| f.f_mul(&weight)?.f_sum(self.kind))?;
                let gradient = match product.requires_grad() {
                    true => Tensor::f_run_backward(&[&product], &[&input], false, false)?.swap_remove(0),
                    false => input.f_zeros_like()?,
                };
                // A network that ignores its input has no gradient at all.
                let gradient = if gradient.defined() {
                    gradient
                } else {
                    input.f_zeros_like()?
                };
                piece.combine(
                    score,
                    (|c| c.score_skip, &rows),
                    (|c| c.score_out, &f.f_detach()?),
                )?;
                piece.combine(vjp, (|c| c.score_skip, &v_rows), (|c| c.input, &gradient))
            })
        })
    }
}
