//! From the table to the checked sampler.

use super::check::{
    SMALLEST_TOLERANCE, check_corrector_steps, check_discretization, check_end, check_snr, ending, refuse,
    refuse_song_compat, usual_ode_grid, usual_sde_grid,
};
use super::*;

impl From<ConfigError> for SolveError {
    fn from(error: ConfigError) -> Self {
        Self::Config {
            key: error.key,
            value: error.value,
            reason: error.reason,
        }
    }
}

impl SamplerConfig {
    /// The name of the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pc(_) => "pc",
            Self::Ode(_) => "ode",
            Self::Heun(_) => "heun",
            Self::Langevin(_) => "langevin",
        }
    }

    /// Checks the table against an SDE and makes the sampler. The grid is that of this SDE; run the sampler with the same.
    ///
    /// # Errors
    /// [`SolveError::Config`] naming the dotted key.
    pub fn build<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        match self {
            Self::Pc(table) => table.build(sde),
            Self::Ode(table) => table.build(sde),
            Self::Heun(table) => table.build(sde),
            Self::Langevin(table) => table.build(sde),
        }
    }
}

/// The keys that every kind has.
struct Common<'a> {
    steps: Option<usize>,
    usual_steps: usize,
    t_start: Option<f64>,
    t_end: Option<f64>,
    grid: Option<&'a GridConfig>,
}

impl Common<'_> {
    fn ends(&self, sde: &dyn Sde) -> (f64, f64) {
        let domain = sde.domain();
        (
            self.t_start.unwrap_or(domain.t_end),
            self.t_end.unwrap_or(domain.sample_eps),
        )
    }

    /// The grid; `usual` where none is given.
    fn grid(&self, sde: &dyn Sde, usual: GridConfig) -> Result<Grid, SolveError> {
        let config = self.grid.unwrap_or(&usual);
        let steps = self.steps.or(config.own_steps()).unwrap_or(self.usual_steps);
        let (t_start, t_end) = self.ends(sde);
        if config.own_steps().is_some() {
            for (key, value) in [("t_start", self.t_start), ("t_end", self.t_end)] {
                if let Some(value) = value {
                    let reason = "a custom grid has its own ends; remove this key";
                    return Err(refuse(key, value, reason));
                }
            }
        }
        Ok(config.build(sde, steps, t_start, t_end)?)
    }
}

impl PcConfig {
    fn build<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        let grid_config = self.grid.as_ref();
        let (steps, t_start, t_end) = (self.steps, self.t_start, self.t_end);
        let common = Common {
            steps,
            usual_steps: 500,
            t_start,
            t_end,
            grid: grid_config,
        };
        let grid = common.grid(sde, usual_sde_grid(sde, common.ends(sde)))?;
        if !(self.eta.is_finite() && self.eta >= 0.0) {
            return Err(refuse("eta", self.eta, "must be a finite number >= 0"));
        }
        let eta = self.eta;
        let predictor: Option<Box<dyn Predictor<S>>> = match self.predictor {
            PredictorKind::EulerMaruyama => Some(Box::new(EulerMaruyama { eta })),
            PredictorKind::ReverseDiffusion => Some(Box::new(ReverseDiffusion { eta })),
            PredictorKind::Ancestral => Some(Box::new(Ancestral)),
            PredictorKind::None => None,
        };
        match self.predictor {
            PredictorKind::Ancestral | PredictorKind::None if eta != 1.0 => {
                let reason = "only predictors euler-maruyama and reverse-diffusion have this knob";
                return Err(refuse("eta", eta, reason));
            }
            PredictorKind::Ancestral => grid.check_spans(sde)?,
            PredictorKind::ReverseDiffusion => check_discretization(sde, &grid)?,
            PredictorKind::None if self.corrector == CorrectorKind::None => {
                return Err(refuse(
                    "predictor",
                    "none",
                    "without a corrector nothing would move the samples",
                ));
            }
            PredictorKind::None => check_end(sde, grid.end())?,
            PredictorKind::EulerMaruyama => {}
        }
        check_corrector_steps(self.corrector_steps, grid.steps() + 1)?;
        let snr = self.snr;
        let corrector: Option<Box<dyn Corrector<S>>> = match self.corrector {
            CorrectorKind::None => None,
            CorrectorKind::Langevin => Some(Box::new(Langevin { snr })),
            CorrectorKind::BatchLangevin => Some(Box::new(BatchLangevin { snr })),
            CorrectorKind::Ald => Some(Box::new(AnnealedLangevin { snr })),
        };
        if corrector.is_some() {
            check_snr(snr)?;
        }
        Ok(Box::new(PredictorCorrector {
            name: "pc",
            predictor,
            corrector,
            corrector_steps: self.corrector_steps,
            grid,
            final_step: ending(self.final_step, grid_config),
        }))
    }
}

impl LangevinConfig {
    fn build<S: State + 'static>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        refuse_song_compat("langevin", self.grid.as_ref())?;
        let (steps, t_start, t_end) = (self.steps, self.t_start, self.t_end);
        let common = Common {
            steps,
            usual_steps: 100,
            t_start,
            t_end,
            grid: self.grid.as_ref(),
        };
        let grid = common.grid(sde, usual_sde_grid(sde, common.ends(sde)))?;
        check_end(sde, grid.end())?;
        check_snr(self.snr)?;
        check_corrector_steps(self.corrector_steps, grid.steps() + 1)?;
        Ok(Box::new(PredictorCorrector {
            name: "langevin",
            predictor: None,
            corrector: Some(Box::new(AnnealedLangevin { snr: self.snr })),
            corrector_steps: self.corrector_steps,
            grid,
            final_step: ending(self.final_step, None),
        }))
    }
}

impl HeunConfig {
    fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        refuse_song_compat("heun", self.grid.as_ref())?;
        let (steps, t_start, t_end) = (self.steps, self.t_start, self.t_end);
        let common = Common {
            steps,
            usual_steps: 40,
            t_start,
            t_end,
            grid: self.grid.as_ref(),
        };
        let grid = common.grid(sde, GridConfig::Karras { rho: 7.0 })?;
        for (key, value) in [
            ("s_churn", self.s_churn),
            ("s_min", self.s_min),
            ("s_noise", self.s_noise),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(refuse(key, value, "must be a finite number >= 0"));
            }
        }
        if self.s_max.is_nan() || self.s_max < self.s_min {
            return Err(refuse(
                "s_max",
                self.s_max,
                format!("must not lie below s_min = {}", self.s_min),
            ));
        }
        let churn = Churn {
            amount: self.s_churn,
            min: self.s_min,
            max: self.s_max,
            noise: self.s_noise,
        };
        Ok(Box::new(Heun {
            grid,
            churn,
            final_step: ending(self.final_step, None),
        }))
    }
}

impl OdeConfig {
    fn build<S: State>(&self, sde: &dyn Sde) -> Result<Box<dyn Sampler<S>>, SolveError> {
        refuse_song_compat("ode", self.grid.as_ref())?;
        let (steps, t_start, t_end) = (self.steps, self.t_start, self.t_end);
        let common = Common {
            steps,
            usual_steps: 100,
            t_start,
            t_end,
            grid: self.grid.as_ref(),
        };
        let final_step = ending(self.final_step, None);
        let tableau: &'static Tableau = match self.method {
            OdeMethod::Euler => &EULER,
            OdeMethod::Heun => &HEUN,
            OdeMethod::Midpoint => &MIDPOINT,
            OdeMethod::Rk4 => &RK4,
            OdeMethod::Dp5 => return self.adaptive(sde, &common, final_step),
        };
        let foreign = [
            ("rtol", self.rtol.map(|v| v.to_string())),
            ("atol", self.atol.map(|v| v.to_string())),
            ("max_steps", self.max_steps.map(|v| v.to_string())),
            ("min_step", self.min_step.map(|v| v.to_string())),
        ];
        if let Some((key, value)) = foreign.into_iter().find_map(|(key, value)| Some((key, value?))) {
            let reason = format!("{} has fixed steps; only dp5 is adaptive", tableau.name);
            return Err(refuse(key, value, reason));
        }
        let grid = common.grid(sde, usual_ode_grid(sde, common.ends(sde)))?;
        if tableau.stages() > 1 {
            check_end(sde, grid.end())?;
        }
        Ok(Box::new(FixedOde {
            tableau,
            grid,
            final_step,
        }))
    }

    fn adaptive<S: State>(
        &self,
        sde: &dyn Sde,
        common: &Common,
        final_step: Final,
    ) -> Result<Box<dyn Sampler<S>>, SolveError> {
        if let Some(steps) = self.steps {
            let reason = "dp5 chooses its steps by rtol and atol; remove this key or take a fixed method";
            return Err(refuse("steps", steps, reason));
        }
        if common.grid.is_some() {
            return Err(refuse(
                "grid",
                "given",
                "dp5 chooses its own times; remove this table",
            ));
        }
        let (t_start, t_end) = common.ends(sde);
        // One span: only its ends are wanted, with their checks.
        GridConfig::Uniform {}.build(sde, 1, t_start, t_end)?;
        check_end(sde, t_end)?;
        let tolerance = Tolerance {
            atol: self.atol.unwrap_or(1e-5),
            rtol: self.rtol.unwrap_or(1e-5),
        };
        for (key, value) in [("rtol", tolerance.rtol), ("atol", tolerance.atol)] {
            if !(value.is_finite() && value >= SMALLEST_TOLERANCE) {
                let reason =
                    format!("must be a finite number >= {SMALLEST_TOLERANCE:e}, what rounding allows");
                return Err(refuse(key, value, reason));
            }
        }
        let max_steps = self.max_steps.unwrap_or(10_000);
        if max_steps == 0 {
            return Err(refuse("max_steps", max_steps, "must be at least 1"));
        }
        let min_step = self.min_step.unwrap_or(0.0);
        if !(min_step >= 0.0 && min_step < t_start - t_end) {
            let reason = format!("must be >= 0 and below the time to cover, {}", t_start - t_end);
            return Err(refuse("min_step", min_step, reason));
        }
        let limits = Limits {
            tolerance,
            max_steps,
            min_step,
        };
        Ok(Box::new(AdaptiveOde {
            tableau: &DP5,
            t_start,
            t_end,
            limits,
            final_step,
        }))
    }
}
