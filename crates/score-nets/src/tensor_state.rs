//! The batch of tensors that samplers move, and its noise.

use solvers::noise::{fill_rows_f32, fill_rows_f64};
use solvers::{Coef, Draw, NoiseSource, SolveError, State, Tolerance};
use tch::{Device, Kind, Tensor, no_grad};

use crate::NetError;

/// Rows along axis 0 of one f32 or f64 tensor, on any device, never part of a gradient graph.
#[derive(Debug)]
pub struct TensorState {
    tensor: Tensor,
}

/// Values staged on the host at a time.
const STAGED: usize = 1 << 20;

impl TensorState {
    /// Takes a contiguous tensor over and copies any other; detaches it.
    ///
    /// # Errors
    /// [`NetError::Shape`] for a tensor without axes, or neither f32 nor f64.
    pub fn new(tensor: Tensor) -> Result<Self, NetError> {
        let kind = tensor.kind();
        if tensor.dim() == 0 || !matches!(kind, Kind::Float | Kind::Double) {
            let need = format!("at least one axis, type Float or Double (it is {kind:?})");
            return Err(NetError::Shape {
                what: "tensor of a state",
                got: tensor.size(),
                need,
            });
        }
        Ok(TensorState {
            tensor: tensor.f_detach()?.f_contiguous()?,
        })
    }

    /// A batch of zeros of shape `[rows, shape...]`.
    ///
    /// # Errors
    /// As [`TensorState::new`], and when the device cannot allocate.
    pub fn zeros(rows: i64, shape: &[i64], kind: Kind, device: Device) -> Result<Self, NetError> {
        let mut size = vec![rows];
        size.extend(shape);
        TensorState::new(Tensor::f_zeros(size.as_slice(), (kind, device))?)
    }

    /// The tensor, rows along axis 0.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The tensor, rows along axis 0.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }

    /// `[rows, row_len]`, the same storage.
    fn flat(&self) -> Tensor {
        self.tensor.view([self.rows() as i64, self.row_len() as i64])
    }

    /// A factor as a tensor that broadcasts over `[rows, row_len]`.
    fn factor(&self, a: Coef) -> Tensor {
        let (kind, device) = (self.tensor.kind(), self.tensor.device());
        match a {
            Coef::All(value) => Tensor::full([1, 1], held(value), (kind, device)),
            Coef::PerRow(values) => Tensor::from_slice(values)
                .to_kind(kind)
                .to_device(device)
                .unsqueeze(1),
        }
    }

    /// `[rows, row_len]` in f64: on its device, or on the host where the device has no f64.
    fn wide(&self) -> Tensor {
        match self.tensor.device() {
            Device::Mps => self.flat().to_device(Device::Cpu).to_kind(Kind::Double),
            _ => self.flat().to_kind(Kind::Double),
        }
    }

    /// Calls `f` with the first row of every piece of at most [`STAGED`] values and the number of its rows.
    fn pieces(&self, mut f: impl FnMut(usize, usize)) {
        let step = (STAGED / self.row_len().max(1)).max(1);
        for first in (0..self.rows()).step_by(step) {
            f(first, step.min(self.rows() - first));
        }
    }
}

/// Copies the values.
impl Clone for TensorState {
    fn clone(&self) -> Self {
        TensorState {
            tensor: no_grad(|| self.tensor.copy()),
        }
    }
}

fn to_host(tensor: &Tensor, out: &mut [f64]) {
    let host = tensor.to_device(Device::Cpu).to_kind(Kind::Double).contiguous();
    host.copy_data(out, host.numel());
}

impl State for TensorState {
    const ROUNDING: f64 = f32::EPSILON as f64;

    fn rows(&self) -> usize {
        self.tensor.size()[0] as usize
    }

    fn row_len(&self) -> usize {
        self.tensor.size()[1..].iter().product::<i64>() as usize
    }

    fn zeros_like(&self) -> Self {
        TensorState {
            tensor: no_grad(|| self.tensor.zeros_like()),
        }
    }

    fn copy_from(&mut self, src: &Self) {
        no_grad(|| self.tensor.copy_(&src.tensor));
    }

    fn scale(&mut self, a: Coef) {
        let _ = no_grad(|| match a {
            Coef::All(value) => self.tensor.g_mul_scalar_(held(value)),
            Coef::PerRow(_) => self.flat().g_mul_(&self.factor(a)),
        });
    }

    fn axpy(&mut self, a: Coef, x: &Self) {
        let _ = no_grad(|| self.flat().addcmul_(&x.flat(), &self.factor(a)));
    }

    fn dot_rows(&self, other: &Self, out: &mut [f64]) {
        no_grad(|| {
            let product = self.wide() * other.wide();
            to_host(&product.sum_dim_intlist(1, false, Kind::Double), out);
        });
    }

    fn error_rows(&self, y0: &Self, y1: &Self, tol: Tolerance, out: &mut [f64]) {
        no_grad(|| {
            let size = y0.wide().abs().maximum(&y1.wide().abs());
            let scaled = self.wide() / (size * tol.rtol + tol.atol);
            let mean = (&scaled * &scaled).mean_dim(1, false, Kind::Double);
            to_host(&mean.sqrt(), out);
        });
    }

    fn select_rows(&mut self, take: &[bool], src: &Self) {
        if take.iter().all(|&take| take) {
            return self.copy_from(src);
        }
        if !take.contains(&true) {
            return;
        }
        no_grad(|| {
            let mask = Tensor::from_slice(take)
                .to_device(self.tensor.device())
                .unsqueeze(1);
            let chosen = src.flat().where_self(&mask, &self.flat());
            self.flat().copy_(&chosen);
        });
    }

    fn fill_rows(&mut self, f: &mut dyn FnMut(usize, &mut [f64])) {
        let row_len = self.row_len();
        let flat = self.flat();
        self.pieces(|first, rows| {
            let mut staged = vec![0.0; rows * row_len];
            for row in 0..rows {
                f(first + row, &mut staged[row * row_len..(row + 1) * row_len]);
            }
            write_piece(&flat, first, rows, &Tensor::from_slice(&staged));
        });
    }

    fn read_rows(&self, f: &mut dyn FnMut(usize, &[f64])) {
        let row_len = self.row_len();
        let flat = self.flat();
        self.pieces(|first, rows| {
            let mut staged = vec![0.0; rows * row_len];
            no_grad(|| to_host(&flat.narrow(0, first as i64, rows as i64), &mut staged));
            for row in 0..rows {
                f(first + row, &staged[row * row_len..(row + 1) * row_len]);
            }
        });
    }

    fn lincomb(&mut self, terms: &[(Coef, &Self)]) {
        let Some(((a, x), rest)) = terms.split_first() else {
            let _ = no_grad(|| self.tensor.zero_());
            return;
        };
        let _ = no_grad(|| match *a {
            Coef::All(value) => x.tensor.mul_scalar_out(&self.tensor, held(value)),
            Coef::PerRow(_) => x.flat().mul_out(&self.flat(), &self.factor(*a)),
        });
        for (a, x) in rest {
            self.axpy(*a, x);
        }
    }

    fn first_non_finite_row(&self) -> Option<usize> {
        no_grad(|| {
            // One cheap pass: a sum is finite only if every value is (it may overflow: then look closer).
            if self.tensor.sum(self.tensor.kind()).double_value(&[]).is_finite() {
                return None;
            }
            let finite = self.flat().isfinite().all_dim(1, false).to_device(Device::Cpu);
            let mut rows = vec![true; self.rows()];
            finite.copy_data(&mut rows, self.rows());
            rows.iter().position(|finite| !finite)
        })
    }
}

/// A coefficient as single precision holds it: one that is too large is infinite, and so is the state, which solvers refuse with its
/// row and time. libtorch itself would throw.
fn held(value: f64) -> f64 {
    match (value as f32).is_infinite() {
        true => f64::INFINITY.copysign(value),
        false => value,
    }
}

/// Copies host values, one after the other, into rows of `[rows, row_len]`.
fn write_piece(flat: &Tensor, first: usize, rows: usize, values: &Tensor) {
    no_grad(|| {
        let mut target = flat.narrow(0, first as i64, rows as i64);
        target.copy_(&values.view(target.size().as_slice()));
    });
}

/// Addressed standard normals for tensors: the same values as the host's noise of the same address, on every
/// device and for every split into batches.
#[derive(Debug, Clone, Copy)]
pub struct TensorNoise {
    /// Seed of the run.
    pub seed: u64,
    /// Row of the whole batch at which this state starts.
    pub first_row: u64,
}

impl NoiseSource<TensorState> for TensorNoise {
    fn normal(&self, draw: Draw, out: &mut TensorState) -> Result<(), SolveError> {
        let (kind, row_len, flat) = (out.tensor.kind(), out.row_len(), out.flat());
        out.pieces(|first, rows| {
            let first_row = self.first_row + first as u64;
            // The host's numbers are f32 numbers, also where they fill an f64 state.
            let values = match kind {
                Kind::Double => {
                    let mut values = vec![0.0_f64; rows * row_len];
                    fill_rows_f64(self.seed, draw, first_row, row_len, &mut values);
                    Tensor::from_slice(&values)
                }
                _ => {
                    let mut values = vec![0.0_f32; rows * row_len];
                    fill_rows_f32(self.seed, draw, first_row, row_len, &mut values);
                    Tensor::from_slice(&values)
                }
            };
            write_piece(&flat, first, rows, &values);
        });
        Ok(())
    }
}
