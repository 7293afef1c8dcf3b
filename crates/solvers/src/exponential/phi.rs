//! The functions of exponential integrators.

/// `z phi_k(z)` for `k` from 1 to 4, where `phi_k(z) = int_0^1 e^{z (1 - s)} s^{k-1}/(k-1)! ds`: the integral of an exponential against
/// a power. `phi_1 = (e^z - 1)/z`, `phi_{k+1} = (phi_k - 1/k!)/z` (Hochbruck and Ostermann 2010, Acta Numerica 19, equations 2.10
/// and 2.11).
///
/// Free of cancellation at small `z`; finite at `z = -infinity`.
pub(crate) fn z_phi(k: usize, z: f64) -> f64 {
    const FACTORIAL: [f64; 4] = [1.0, 1.0, 2.0, 6.0];
    if k > 1 && z.abs() < 1.0 {
        return series(k, z);
    }
    let first = z.exp_m1();
    (1..k).fold(first, |lower, j| lower / z - 1.0 / FACTORIAL[j])
}

/// `z phi_k(z) = sum_{j >= 1} z^j/(j + k - 1)!`, summed from the smallest term.
fn series(k: usize, z: f64) -> f64 {
    const TERMS: usize = 18;
    let mut sum = 0.0;
    for j in (1..=TERMS).rev() {
        sum = (1.0 + sum) * z / (j + k - 1) as f64;
    }
    sum / (1..k).product::<usize>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gauss-Legendre quadrature of the definition.
    fn by_quadrature(k: usize, z: f64) -> f64 {
        const NODES: [(f64, f64); 5] = [
            (0.0, 0.568_888_888_888_888_9),
            (0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
            (-0.538_469_310_105_683_1, 0.478_628_670_499_366_47),
            (0.906_179_845_938_664, 0.236_926_885_056_189_08),
            (-0.906_179_845_938_664, 0.236_926_885_056_189_08),
        ];
        let (panels, factorial) = (200, [1.0, 1.0, 2.0, 6.0][k - 1]);
        let width = 1.0 / f64::from(panels);
        let mut sum = 0.0;
        for panel in 0..panels {
            for (node, weight) in NODES {
                let s = (f64::from(panel) + 0.5 * (node + 1.0)) * width;
                sum += 0.5 * width * weight * (z * (1.0 - s)).exp() * s.powi(k as i32 - 1) / factorial;
            }
        }
        z * sum
    }

    #[test]
    fn integrals_of_the_definition() {
        for k in 1..=4 {
            for z in [1e-9, 1e-3, 0.1, 0.999_999, 1.0, 3.0, 9.6] {
                for z in [z, -z] {
                    let (got, want) = (z_phi(k, z), by_quadrature(k, z));
                    assert!((got / want - 1.0).abs() < 1e-13, "{k} {z}: {got} {want}");
                }
            }
            assert_eq!(z_phi(k, 0.0), 0.0);
            assert_eq!(z_phi(k, f64::NEG_INFINITY), [-1.0, -1.0, -0.5, -1.0 / 6.0][k - 1]);
        }
    }
}
