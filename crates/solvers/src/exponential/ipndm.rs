//! iPNDM, the improved pseudo numerical method: the fixed Adams-Bashforth combination of the newest noise predictions, transferred
//! by DDIM.
//!
//! Source: Zhang and Chen 2023, arXiv:2204.13902, section 3.3 and appendix H.2, after PNDM (Liu et al. 2022, arXiv:2202.09778), whose
//! Runge-Kutta start it replaces by combinations of lower order. One evaluation a step.
//!
//! The combination is that of equal steps, whatever the grid: of order `order` (from 1, which is DDIM, to 4) where the steps are
//! equal in `sigma`, of order 2 at most on other smooth grids, which is the order that it
//! declares. [`lms`](crate::sigma::lms) has the weights of the grid's own steps.

use sde_core::Sde;
use sde_core::grid::Grid;

use crate::sampler::Final;
use crate::sigma::{Multistep, Weights};

/// Adams and Bashforth (1883), the newest first.
const ADAMS_BASHFORTH: [Weights; 4] = [
    [1.0, 0.0, 0.0, 0.0],
    [3.0 / 2.0, -1.0 / 2.0, 0.0, 0.0],
    [23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0, 0.0],
    [55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
];

impl Multistep {
    /// The method [`ipndm`](self), `order` from 1 to 4.
    pub(crate) fn ipndm(sde: &dyn Sde, grid: Grid, order: usize, final_step: Final) -> Self {
        let weights = Self::weights_by(sde, &grid, order, |levels| {
            let known = levels.len() - 1;
            let change = levels[known].sigma - levels[known - 1].sigma;
            ADAMS_BASHFORTH[known - 1].map(|weight| weight * change)
        });
        Self {
            name: "ipndm",
            order,
            convergence: order.min(2),
            grid,
            weights,
            to_zero: None,
            final_step,
        }
    }
}
