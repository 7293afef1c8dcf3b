//! The kinds of [`crate::stochastic`] on a grid: `euler-ancestral`, `dpm-2-ancestral`, `dpmpp-2s-ancestral`, `dpmpp-sde`,
//! `dpmpp-2m-sde`, `dpmpp-3m-sde`.

use sde_core::Sde;
use sde_core::grid::{Grid, GridConfig};

use super::check::{refuse, usual_lambda_grid};
use super::tables::{Common, table};
use crate::stochastic::{
    AncestralLevels, Dpm2Ancestral, Dpmpp2mSde, Dpmpp2sAncestral, Dpmpp3mSde, DpmppSde, EulerAncestral,
    OnGrid, SecondOrder, Steps, Stochasticity,
};
use crate::{Sampler, SolveError, State};

table! {
    /// Table of `kind = "euler-ancestral"`: 40 steps by default.
    EulerAncestralConfig {
        /// Stochasticity, >= 0; 1.
        eta: f64 = 1.0,
        /// Factor of the added noise, >= 0; 1.
        s_noise: f64 = 1.0,
    }
}

table! {
    /// Table of `kind = "dpm-2-ancestral"`: 40 steps by default.
    Dpm2AncestralConfig {
        /// Stochasticity, >= 0; 1.
        eta: f64 = 1.0,
        /// Factor of the added noise, >= 0; 1.
        s_noise: f64 = 1.0,
    }
}

table! {
    /// Table of `kind = "dpmpp-2s-ancestral"`: 40 steps by default.
    Dpmpp2sAncestralConfig {
        /// Stochasticity, >= 0; 1.
        eta: f64 = 1.0,
        /// Factor of the added noise, >= 0; 1.
        s_noise: f64 = 1.0,
    }
}

table! {
    /// Table of `kind = "dpmpp-sde"`: 40 steps by default.
    DpmppSdeConfig {
        /// Stochasticity, >= 0; 1.
        eta: f64 = 1.0,
        /// Factor of the added noise, >= 0; 1.
        s_noise: f64 = 1.0,
        /// Where the stage lies in a step, in `lambda`; in (0, 1]; 1/2.
        r: f64 = 0.5,
    }
}

table! {
    /// Table of `kind = "dpmpp-2m-sde"`: 40 steps by default.
    Dpmpp2mSdeConfig {
        /// Stochasticity, >= 0; 1.
        eta: f64 = 1.0,
        /// Factor of the added noise, >= 0; 1.
        s_noise: f64 = 1.0,
        /// Weight of the difference, `midpoint` or `heun`; `midpoint`.
        solver: SecondOrder = SecondOrder::Midpoint,
    }
}

table! {
    /// Table of `kind = "dpmpp-3m-sde"`: 40 steps by default.
    Dpmpp3mSdeConfig {
        /// Stochasticity, >= 0; 1.
        eta: f64 = 1.0,
        /// Factor of the added noise, >= 0; 1.
        s_noise: f64 = 1.0,
    }
}

/// What all of them check.
fn stochasticity(eta: f64, s_noise: f64) -> Result<Stochasticity, SolveError> {
    for (key, value) in [("eta", eta), ("s_noise", s_noise)] {
        if !(value.is_finite() && value >= 0.0) {
            return Err(refuse(key, value, "must be a finite number >= 0"));
        }
    }
    Ok(Stochasticity { eta, s_noise })
}

fn grid(kind: &str, common: &Common, sde: &dyn Sde) -> Result<Grid, SolveError> {
    common.true_grid(kind, sde, GridConfig::Karras { rho: 7.0 }, 40)
}

/// For the methods that are exact in `lambda` where the prediction is constant.
fn lambda_grid(kind: &str, common: &Common, sde: &dyn Sde) -> Result<Grid, SolveError> {
    common.true_grid(kind, sde, usual_lambda_grid(sde, common.ends(sde)), 40)
}

/// Methods with a midpoint on the way down evaluate the score below the end of the grid where the noise takes them there.
fn check_midpoints(grid: &Grid, sde: &dyn Sde, eta: f64) -> Result<(), SolveError> {
    let end = sde.sigma(grid.end());
    let below = |from: f64, to: f64| {
        let down = AncestralLevels::new(from, to, eta).down;
        down > 0.0 && down * from < (1.0 - 1e-9) * end * end
    };
    let span = grid
        .spans()
        .iter()
        .find(|span| below(sde.sigma(span.from), sde.sigma(span.to)));
    match span {
        None => Ok(()),
        Some(span) => {
            let reason = format!(
                "the step from t = {} to {} would evaluate the score below the noise of the end time; at most 1 never does",
                span.from, span.to
            );
            Err(refuse("eta", eta, reason))
        }
    }
}

fn on_grid<S: State, M: Steps + 'static>(method: M, grid: Grid, common: &Common) -> Box<dyn Sampler<S>> {
    Box::new(OnGrid {
        method,
        grid,
        final_step: common.ending(),
    })
}

impl EulerAncestralConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = grid("euler-ancestral", &common, sde)?;
        let noise = stochasticity(self.eta, self.s_noise)?;
        Ok(on_grid(EulerAncestral { noise }, grid, &common))
    }
}

impl Dpm2AncestralConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = grid("dpm-2-ancestral", &common, sde)?;
        let noise = stochasticity(self.eta, self.s_noise)?;
        check_midpoints(&grid, sde, self.eta)?;
        Ok(on_grid(Dpm2Ancestral { noise }, grid, &common))
    }
}

impl Dpmpp2sAncestralConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = grid("dpmpp-2s-ancestral", &common, sde)?;
        let noise = stochasticity(self.eta, self.s_noise)?;
        check_midpoints(&grid, sde, self.eta)?;
        Ok(on_grid(Dpmpp2sAncestral { noise }, grid, &common))
    }
}

impl DpmppSdeConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = lambda_grid("dpmpp-sde", &common, sde)?;
        let noise = stochasticity(self.eta, self.s_noise)?;
        if !(self.r > 0.0 && self.r <= 1.0) {
            return Err(refuse(
                "r",
                self.r,
                "must lie above 0 and not above 1; 0.5 is usual",
            ));
        }
        Ok(on_grid(DpmppSde { noise, r: self.r }, grid, &common))
    }
}

impl Dpmpp2mSdeConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = lambda_grid("dpmpp-2m-sde", &common, sde)?;
        let noise = stochasticity(self.eta, self.s_noise)?;
        let solver = self.solver;
        Ok(on_grid(Dpmpp2mSde { noise, solver }, grid, &common))
    }
}

impl Dpmpp3mSdeConfig {
    pub(super) fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let common = self.common();
        let grid = lambda_grid("dpmpp-3m-sde", &common, sde)?;
        let noise = stochasticity(self.eta, self.s_noise)?;
        Ok(on_grid(Dpmpp3mSde { noise }, grid, &common))
    }
}
