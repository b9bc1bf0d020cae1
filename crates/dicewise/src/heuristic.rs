use crate::DiceError;

/// ε = v̂: the paper's heuristic for image-wise Dice that learns empty maps ("I_ε", Eq. 5).
///
/// ```text
/// 2a·v̂ / (b·v̂)² = ε / (v̂ + ε)²
/// ```
///
/// where v̂ = E Σ_φ y is the mean size of the target in voxels, over all training cases; a·v̂ the overlap
/// and b·v̂ the union Σ(y + p). Left is the push on an empty map under batch-wise Dice with B → ∞, right the
/// push under image-wise Dice. With a = ½ and b = 2 the answer is ε = v̂.
///
/// That ε is also the one that pushes an empty map the hardest: h(ε) = ε/(v̂ + ε)² has the derivative
/// (v̂ − ε)/(v̂ + ε)³, so its only maximum is 1/(4v̂), at ε = v̂. [`solve_epsilon`] treats other a and b.
///
/// # Errors
/// A size that is not finite and above 0.
pub fn heuristic_epsilon(mean_target_size: f64) -> Result<f64, DiceError> {
    positive("mean target size", mean_target_size)
}

/// The solutions ε of Eq. 5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EpsilonSolutions {
    /// 2a/b² < ¼: a small and a large ε push the same; lo·hi = v̂².
    Two {
        /// The solution below v̂.
        lo: f64,
        /// The solution above v̂.
        hi: f64,
    },
    /// 2a/b² = ¼: ε = v̂.
    One(f64),
    /// 2a/b² > ¼: batch-wise Dice pushes harder than any ε can; ε = v̂ comes closest.
    None,
}

/// Solves Eq. 5 for ε, for any overlap a and union b (both in units of v̂).
///
/// ```text
/// k = 2a/b²,  s = √(1 − 4k):   ε = v̂ · 4k/(1 + s)²   and   ε = v̂ · (1 + s)²/(4k)
/// ```
///
/// which follows from k x² + (2k − 1) x + k = 0 with x = ε/v̂, in the form without cancellation.
///
/// # Errors
/// A size not above 0; a outside of (0, 1]; b below 1 + a, which no prediction reaches: Σp ≥ Σyp.
pub fn solve_epsilon(mean_target_size: f64, overlap: f64, union: f64) -> Result<EpsilonSolutions, DiceError> {
    let size = positive("mean target size", mean_target_size)?;
    if !(overlap > 0.0 && overlap <= 1.0) {
        let accepted = "the overlap, in units of the target's size, must lie in (0, 1]";
        return Err(DiceError::Domain { argument: "overlap", value: overlap, accepted });
    }
    if !(union.is_finite() && union >= 1.0 + overlap) {
        let accepted = "the union Σ(y + p), in units of the target's size, must be at least 1 + overlap";
        return Err(DiceError::Domain { argument: "union", value: union, accepted });
    }
    // 1 − 4k = (b² − 8a)/b²; the fused product keeps its sign exact where both nearly cancel.
    let discriminant = union.mul_add(union, -8.0 * overlap);
    if discriminant < 0.0 {
        return Ok(EpsilonSolutions::None);
    }
    if discriminant == 0.0 {
        return Ok(EpsilonSolutions::One(size));
    }
    let root = discriminant.sqrt() / union;
    let ratio = (1.0 + root) * (1.0 + root) * union * union / (8.0 * overlap);
    Ok(EpsilonSolutions::Two { lo: size / ratio, hi: size * ratio })
}

fn positive(argument: &'static str, value: f64) -> Result<f64, DiceError> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(DiceError::Domain { argument, value, accepted: "it must be finite and above 0" }),
    }
}
