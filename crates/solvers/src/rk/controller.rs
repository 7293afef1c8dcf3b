//! Step size control.

use crate::real::Real;

/// The PI controller of Gustafsson (1991) with the constants of Hairer, Norsett and Wanner (1993, II.4 and IV.2):
/// `h' = h / clamp(err^a / err_old^b / safety)`. Errors are in units of the tolerance: a step with `err <= 1` is accepted.
///
/// Powers are taken by base-2 logarithms of this crate, without branches: a loop over rows runs in SIMD lanes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PiController {
    /// Exponent of the error of this step.
    proportional: f64,
    /// Exponent of the error of the last accepted step.
    integral: f64,
    /// Base-2 logarithm of a factor below one that keeps the next step from being just too long.
    log2_safety: f64,
    /// Smallest factor between steps.
    shrink: f64,
    /// Largest factor between steps.
    grow: f64,
    /// Its base-2 logarithm.
    log2_grow: f64,
}

/// What a row remembers of its steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    /// Base-2 logarithm of the error of the last accepted step.
    pub(super) log2_error: f64,
    /// Largest factor allowed for the next step: 1 directly after a rejection.
    pub(super) most: f64,
}

/// `log2(1e-4)`: what counts as the error before the first step, and the smallest error remembered.
const LOG2_SMALLEST: f64 = -13.287_712_379_549_449;

/// Errors beyond these give the factor at its bound whatever else.
const BOUNDS: (f64, f64) = (1e-12, 1e12);

/// The largest factor between steps.
const GROW: f64 = 10.0;

impl Default for Memory {
    fn default() -> Self {
        Self {
            log2_error: LOG2_SMALLEST,
            most: GROW,
        }
    }
}

/// The verdict on a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Whether the step counts.
    pub accept: bool,
    /// Factor from this step size to the next.
    pub factor: f64,
}

impl PiController {
    /// The controller for a method of this order.
    pub fn new(order: u8) -> Self {
        let integral = 0.04;
        Self {
            proportional: 1.0 / f64::from(order) - 0.75 * integral,
            integral,
            log2_safety: 0.9_f64.log2(),
            shrink: 0.2,
            grow: GROW,
            log2_grow: GROW.log2(),
        }
    }

    /// Judges a step by its error. An error that is not finite shrinks the step as far as allowed.
    #[inline(always)]
    pub fn decide(&self, error: f64, memory: &mut Memory) -> Decision {
        let accept = error <= 1.0;
        let bounded = if error < BOUNDS.1 { error } else { BOUNDS.1 };
        let bounded = if bounded > BOUNDS.0 { bounded } else { BOUNDS.0 };
        let log2_error = bounded.log2_positive();
        let integral = if accept {
            self.integral * memory.log2_error
        } else {
            0.0
        };
        let exponent = self.log2_safety + integral - self.proportional * log2_error - self.log2_grow;
        let factor = self.grow * (if exponent < 0.0 { exponent } else { 0.0 }).exp2_nonpositive();
        let factor = if factor > self.shrink { factor } else { self.shrink };
        let capped = if factor < memory.most { factor } else { memory.most };
        let remembered = if log2_error > LOG2_SMALLEST {
            log2_error
        } else {
            LOG2_SMALLEST
        };
        *memory = Memory {
            log2_error: if accept { remembered } else { memory.log2_error },
            most: if accept { self.grow } else { 1.0 },
        };
        Decision {
            accept,
            factor: if accept { capped } else { factor },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_at_the_edges() {
        let controller = PiController::new(5);
        let mut memory = Memory::default();
        assert_eq!(
            controller.decide(0.0, &mut memory),
            Decision {
                accept: true,
                factor: 10.0
            }
        );
        assert_eq!(
            controller.decide(1e30, &mut memory),
            Decision {
                accept: false,
                factor: 0.2
            }
        );
        for error in [f64::NAN, f64::INFINITY] {
            assert_eq!(
                controller.decide(error, &mut memory),
                Decision {
                    accept: false,
                    factor: 0.2
                }
            );
        }
        // No growth directly after a rejection, and growth again after that.
        assert_eq!(
            controller.decide(1e-9, &mut memory),
            Decision {
                accept: true,
                factor: 1.0
            }
        );
        assert_eq!(
            controller.decide(1e-9, &mut memory),
            Decision {
                accept: true,
                factor: 10.0
            }
        );
        let at_tolerance = controller.decide(1.0, &mut memory);
        assert!(at_tolerance.accept && at_tolerance.factor < 0.9);
    }
}
