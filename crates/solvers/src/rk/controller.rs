//! Step size control.

/// The PI controller of Gustafsson (1991) with the constants of Hairer, Norsett and Wanner (1993, II.4 and IV.2):
/// `h' = h / clamp(err^a / err_old^b / safety)`. Errors are in units of the tolerance: a step with `err <= 1` is accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PiController {
    /// Exponent of the error of this step.
    proportional: f64,
    /// Exponent of the error of the last accepted step.
    integral: f64,
    /// Factor below one that keeps the next step from being just too long.
    safety: f64,
    /// Smallest factor between steps.
    shrink: f64,
    /// Largest factor between steps.
    grow: f64,
}

/// What a row remembers of its steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory {
    last_error: f64,
    rejected: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            last_error: 1e-4,
            rejected: false,
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
            safety: 0.9,
            shrink: 0.2,
            grow: 10.0,
        }
    }

    /// Judges a step by its error. An error that is not finite shrinks the step as far as allowed.
    pub fn decide(&self, error: f64, memory: &mut Memory) -> Decision {
        if !error.is_finite() {
            memory.rejected = true;
            return Decision {
                accept: false,
                factor: self.shrink,
            };
        }
        let proportional = error.powf(self.proportional);
        if error > 1.0 {
            memory.rejected = true;
            return Decision {
                accept: false,
                factor: (self.safety / proportional).max(self.shrink),
            };
        }
        let factor = self.safety * memory.last_error.powf(self.integral) / proportional;
        let most = if memory.rejected { 1.0 } else { self.grow };
        *memory = Memory {
            last_error: error.max(1e-4),
            rejected: false,
        };
        Decision {
            accept: true,
            factor: factor.clamp(self.shrink, self.grow).min(most),
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
