//! Many tests at once.

/// Holm's adjusted p-values: below α, they keep the chance of any false positive among all tests below α, whatever the
/// tests have to do with one another.
///
/// ```text
/// p̃₍ᵢ₎ = max_{j ≤ i} min(1, (m − j + 1) · p₍ⱼ₎)
/// ```
///
/// where p₍₁₎ ≤ … ≤ p₍ₘ₎ are the m p-values in order (Holm 1979). The result is in the order of the argument.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (before, &test) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - before) as f64 * p_values[test]).min(1.0);
        adjusted[test] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_agrees_with_the_formula_by_hand() {
        // In order .005·4 = .02, .01·3 = .03, .03·2 = .06, and .04·1, which may not be below the one before.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert!(
            adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]).all(|(a, e)| (a - e).abs() < 1e-15),
            "{adjusted:?}"
        );
        assert_eq!(holm(&[0.9, 0.6]), [1.0, 1.0]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}
