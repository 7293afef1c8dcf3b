//! What a sampler's table is checked for, and the defaults that depend on the SDE.

use sde_core::Sde;
use sde_core::grid::{Grid, GridConfig};

use super::tables::Common;
use crate::rk::adaptive::Limits;
use crate::{SolveError, State, Tolerance};

/// Equidistant times, where they resolve the noise: where half-way in time is not near either end in `lambda`. They
/// do not for SDEs whose time is the noise level itself, which get the grid of Karras et al.
pub(super) fn usual_sde_grid(sde: &dyn Sde, (t_start, t_end): (f64, f64)) -> GridConfig {
    let (first, last) = (sde.lambda(t_start), sde.lambda(t_end));
    let share = (sde.lambda(0.5 * (t_start + t_end)) - first) / (last - first);
    if share < 0.15 {
        GridConfig::Karras { rho: 7.0 }
    } else {
        GridConfig::Uniform {}
    }
}

/// Equidistant times where the SDE has a drift that holds the scale of the state; otherwise the state's scale is the noise
/// level's, for which Euler-like steps in `t` are too long at the end, and the grid is that of Karras et al.
pub(super) fn usual_ode_grid(sde: &dyn Sde, (t_start, t_end): (f64, f64)) -> GridConfig {
    if sde.drift_coef(0.5 * (t_start + t_end)) == 0.0 {
        GridConfig::Karras { rho: 7.0 }
    } else {
        GridConfig::Uniform {}
    }
}

/// The grid of methods in `sigma` and `lambda`: equidistant `lambda` where a drift takes the signal away while noise comes in; without
/// a drift the published grid for methods in the noise level, that of Karras et al.
pub(super) fn usual_lambda_grid(sde: &dyn Sde, (t_start, t_end): (f64, f64)) -> GridConfig {
    if sde.drift_coef(0.5 * (t_start + t_end)) == 0.0 {
        GridConfig::Karras { rho: 7.0 }
    } else {
        GridConfig::LogSnr {}
    }
}

pub(super) fn refuse(key: &str, value: impl ToString, reason: impl Into<String>) -> SolveError {
    refuse_in("sampler", key, value, reason)
}

/// The refusal of a key of any table.
pub(crate) fn refuse_in(
    table: &str,
    key: &str,
    value: impl ToString,
    reason: impl Into<String>,
) -> SolveError {
    SolveError::Config {
        key: format!("{table}.{key}"),
        value: value.to_string(),
        reason: reason.into(),
    }
}

pub(super) fn check_snr(snr: f64) -> Result<(), SolveError> {
    if snr > 0.0 && snr < 1.0 {
        return Ok(());
    }
    Err(refuse(
        "snr",
        snr,
        "must lie above 0 and below 1, where a Langevin step stops being stable",
    ))
}

pub(super) fn check_corrector_steps(count: u32, levels: usize) -> Result<(), SolveError> {
    if count == 0 {
        return Err(refuse("corrector_steps", count, "must be at least 1"));
    }
    if (levels as u64)
        .checked_mul(u64::from(count))
        .is_none_or(|draws| draws > u64::from(u32::MAX))
    {
        let reason = format!("times {levels} levels is more draws than can be addressed (4294967295)");
        return Err(refuse("corrector_steps", count, reason));
    }
    Ok(())
}

/// Refuses an end time at which the score is not defined, for methods that evaluate it there.
pub(super) fn check_end(sde: &dyn Sde, t_end: f64) -> Result<(), SolveError> {
    if sde.marginal(t_end).std > 0.0 {
        return Ok(());
    }
    let usual = sde.domain().sample_eps;
    Err(refuse(
        "t_end",
        t_end,
        format!("no noise is left there, so there is no score; take {usual}"),
    ))
}

/// Refuses spans over which the SDE's own forward chain is not defined. A chain that keeps no signal at all in its first step (VP
/// with `beta_i = 1`) can still be reversed here, though not by the ancestral step.
pub(super) fn check_discretization(sde: &dyn Sde, grid: &Grid) -> Result<(), SolveError> {
    let defined = |span| {
        let step = sde.discretize(span);
        step.drift.is_finite() && step.noise_var.is_finite() && step.noise_var >= 0.0
    };
    match grid.spans().iter().find(|span| !defined(**span)) {
        None => Ok(()),
        Some(span) => {
            let reason = format!(
                "the forward chain has no step from t = {} to {}; take more steps or euler-maruyama",
                span.to, span.from
            );
            Err(refuse("steps", grid.steps(), reason))
        }
    }
}

/// The order of a method whose first steps need as many steps as its order: as given, which must not exceed the steps, or the
/// usual one as far as the steps allow.
pub(super) fn order_within(
    given: Option<usize>,
    usual: usize,
    most: usize,
    steps: usize,
) -> Result<usize, SolveError> {
    let Some(order) = given else {
        return Ok(usual.min(steps));
    };
    check_order(order, most)?;
    if order > steps {
        let reason = format!(
            "order {order} needs at least {order} steps to start; take order = {steps}, or leave the key out"
        );
        return Err(refuse("steps", steps, reason));
    }
    Ok(order)
}

/// Refuses an order that the method does not have.
pub(super) fn check_order(order: usize, most: usize) -> Result<(), SolveError> {
    if (1..=most).contains(&order) {
        return Ok(());
    }
    Err(refuse("order", order, format!("must lie between 1 and {most}")))
}

/// Below this, the error of a step in `f64` is rounding.
const SMALLEST_TOLERANCE: f64 = 1e-14;

/// The ends of a run that chooses its own steps, checked as those of a grid are.
pub(super) fn adaptive_ends(common: &Common, sde: &dyn Sde) -> Result<(f64, f64), SolveError> {
    let (t_start, t_end) = common.ends(sde);
    // One span: only its ends are wanted, with their checks.
    GridConfig::Uniform {}.build(sde, 1, t_start, t_end)?;
    check_end(sde, t_end)?;
    Ok((t_start, t_end))
}

/// The keys of a table that belong to steps by tolerance.
pub(super) struct StepKeys {
    pub rtol: Option<f64>,
    pub atol: Option<f64>,
    pub max_steps: Option<u64>,
    pub min_step: Option<f64>,
}

impl StepKeys {
    /// Refuses the first one that is given.
    pub fn refuse_all(&self, reason: impl Into<String>) -> Result<(), SolveError> {
        let given = [
            ("rtol", self.rtol.map(|v| v.to_string())),
            ("atol", self.atol.map(|v| v.to_string())),
            ("max_steps", self.max_steps.map(|v| v.to_string())),
            ("min_step", self.min_step.map(|v| v.to_string())),
        ];
        match given.into_iter().find_map(|(key, value)| Some((key, value?))) {
            None => Ok(()),
            Some((key, value)) => Err(refuse(key, value, reason)),
        }
    }

    /// The limits over a way of this length and name, with the method's own tolerance, at most 10000 steps and no least one where
    /// the table has none.
    pub fn limits<S: State>(&self, usual: Tolerance, way: (&str, f64)) -> Result<Limits, SolveError> {
        let limits = Limits {
            tolerance: Tolerance {
                atol: self.atol.unwrap_or(usual.atol),
                rtol: self.rtol.unwrap_or(usual.rtol),
            },
            max_steps: self.max_steps.unwrap_or(10_000),
            min_step: self.min_step.unwrap_or(0.0),
        };
        check_limits::<S>(limits, way)
    }
}

/// Checks the limits of a method that chooses its own steps over a way of this length and name.
pub(super) fn check_limits<S: State>(limits: Limits, way: (&str, f64)) -> Result<Limits, SolveError> {
    let limits = limits_within("sampler", limits, way)?;
    check_rounding::<S>("sampler", limits.tolerance)?;
    Ok(limits)
}

/// Refuses a tolerance that the numbers of a state do not resolve: steps would be judged by rounding.
pub(crate) fn check_rounding<S: State>(table: &str, tolerance: Tolerance) -> Result<(), SolveError> {
    let (Tolerance { rtol, atol }, smallest) = (tolerance, S::ROUNDING);
    if rtol >= smallest || atol >= smallest {
        return Ok(());
    }
    let reason = format!(
        "it and atol = {atol} are below {smallest:.1e}, to which the state is rounded; raise one of them"
    );
    Err(refuse_in(table, "rtol", rtol, reason))
}

/// As [`check_limits`], for the keys of any table.
pub(crate) fn limits_within(
    table: &str,
    limits: Limits,
    (way, length): (&str, f64),
) -> Result<Limits, SolveError> {
    let Limits {
        tolerance,
        max_steps,
        min_step,
    } = limits;
    for (key, value) in [("rtol", tolerance.rtol), ("atol", tolerance.atol)] {
        if !(value.is_finite() && value >= SMALLEST_TOLERANCE) {
            let reason = format!("must be a finite number >= {SMALLEST_TOLERANCE:e}, what rounding allows");
            return Err(refuse_in(table, key, value, reason));
        }
    }
    if max_steps == 0 {
        return Err(refuse_in(table, "max_steps", max_steps, "must be at least 1"));
    }
    if !(min_step >= 0.0 && min_step < length) {
        let reason = format!("must be >= 0 and below the {way}, {length}");
        return Err(refuse_in(table, "min_step", min_step, reason));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use sde_core::SdeConfig;

    use super::*;

    /// The grid follows from what the SDE does, not from its name: equidistant times for VP, subVP and the SDE methods of VE, the
    /// grid of Karras et al. where the time is the noise level or nothing holds the scale of the state; equidistant `lambda` for
    /// VP and subVP.
    #[test]
    fn usual_grids() {
        let (uniform, karras) = (GridConfig::Uniform {}, GridConfig::Karras { rho: 7.0 });
        let log_snr = GridConfig::LogSnr {};
        for (table, sde_grid, ode_grid, lambda_grid) in [
            ("kind = \"vp\"", &uniform, &uniform, &log_snr),
            (
                "kind = \"vp\"\nschedule = \"cosine\"",
                &uniform,
                &uniform,
                &log_snr,
            ),
            ("kind = \"subvp\"", &uniform, &uniform, &log_snr),
            ("kind = \"ve\"", &uniform, &karras, &karras),
            ("kind = \"ve\"\nkernel = \"exact\"", &uniform, &karras, &karras),
            ("kind = \"edm\"", &karras, &karras, &karras),
        ] {
            let config: SdeConfig = toml::from_str(table).expect("written above");
            let sde = config.build().expect("valid");
            let ends = (sde.domain().t_end, sde.domain().sample_eps);
            assert_eq!(&usual_sde_grid(&*sde, ends), sde_grid, "{table}");
            assert_eq!(&usual_ode_grid(&*sde, ends), ode_grid, "{table}");
            assert_eq!(&usual_lambda_grid(&*sde, ends), lambda_grid, "{table}");
        }
    }
}
