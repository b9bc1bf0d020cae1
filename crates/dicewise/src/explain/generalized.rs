//! Generalized Dice, which is no member of the family of Eq. 3: its weights depend on the target.

use super::{Explanation, MapDerivative, Scenario};
use crate::DiceError;

/// The derivative of generalized Dice (Sudre et al., DLMIA 2017), image by image as MONAI ships it.
///
/// ```text
/// GDL = 1 − (1/B) Σ_b (2 Σ_c w_bc O_bc + ε) / (Σ_c w_bc U_bc + ε),   w_bc = 1/(Σ_i y)²
/// ∂GDL/∂p_bci = −(w_bc/B) [2 y / (Σ w U + ε) − (2 Σ w O + ε) / (Σ w U + ε)²]
/// ```
///
/// where an infinite w (Σ_i y = 0) becomes the largest finite one of the image, so that an empty map weighs
/// as much as the smallest object beside it. It does not tell missing from empty.
pub(super) fn explain(epsilon: f64, scenario: &Scenario) -> Result<Explanation, DiceError> {
    let (class, last) = (scenario.class(), scenario.image_without());
    let without = derivative(epsilon, scenario, true, last, class)?;
    let first = if last > 0 { 0 } else { last };
    let present = derivative(epsilon, scenario, last > 0, first, class)?;
    Ok(Explanation::new(
        format!("generalized Dice, image by image, w = 1/(Σy)², ε = {epsilon:e}"),
        scenario,
        present,
        without.outside,
        without.outside,
        false,
    ))
}

fn derivative(
    eps: f64,
    scenario: &Scenario,
    emptied: bool,
    b: usize,
    c: usize,
) -> Result<MapDerivative, DiceError> {
    let sums = scenario.sums(emptied)?;
    let classes = sums.classes();
    let image = b * classes..(b + 1) * classes;
    let weight = |size: f64| 1.0 / (size * size);
    let finite = sums.target()[image.clone()].iter().filter(|&&size| size > 0.0).map(|&size| weight(size));
    let largest = finite.fold(0.0, f64::max);
    let weight_of = |map: usize| if sums.target()[map] > 0.0 { weight(sums.target()[map]) } else { largest };
    let overlap: f64 = image.clone().map(|map| weight_of(map) * sums.overlap()[map]).sum();
    let union: f64 =
        image.clone().map(|map| weight_of(map) * (sums.target()[map] + sums.prediction()[map])).sum();
    let share = weight_of(image.start + c) / sums.batch() as f64;
    let outside = share * (2.0 * overlap + eps) / (union + eps).powi(2);
    Ok(MapDerivative { outside, inside: outside - share * 2.0 / (union + eps) })
}
