//! Literal `f64` loops of the equations, the reference of all tests.
//!
//! Tilborghs et al. (MICCAI 2022, arXiv 2207.09521), Eq. 2–4, the two treatments of missing labels and the
//! relatives of Dice, as slow and as close to the papers as possible, on dense arrays `[B, C, I]`; from logits and
//! with cross-entropy in [`Logits`]. Nothing is shared with the crate `dicewise`, not even a type.

#![forbid(unsafe_code)]

mod logits;

pub use logits::{Activation, Logits};

/// DSC(Y, Ỹ) = 2|Y ∩ Ỹ| / (|Y| + |Ỹ|), Eq. 2, of two sets of voxels; NaN if both are empty.
pub fn dsc(y: &[bool], p: &[bool]) -> f64 {
    let (mut both, mut size_y, mut size_p) = (0.0, 0.0, 0.0);
    for (&y, &p) in y.iter().zip(p) {
        both += f64::from(y && p);
        size_y += f64::from(y);
        size_p += f64::from(p);
    }
    2.0 * both / (size_y + size_p)
}

/// Φ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Phi {
    /// DL_I: one subset per (b, c).
    I,
    /// DL_CI: one subset per b.
    CI,
    /// DL_BI: one subset per c.
    BI,
    /// DL_BCI: one subset.
    BCI,
}

/// What happens to maps that are not annotated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Missing {
    /// Nothing: their y is taken as it is.
    AsEmpty,
    /// They leave their subset.
    Leaf,
    /// Their p is added to p_0.
    Marginal,
}

/// The relatives of Dice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Member {
    /// 2Σyp / Σ(y + p).
    Dice,
    /// 2Σyp / Σ(y² + p²), V-Net.
    Squared,
    /// Σyp / Σ(y + p − yp), both doubled.
    Jaccard,
    /// Σyp / Σ(yp + α p(1 − y) + β y(1 − p)), both doubled.
    Tversky(f64, f64),
    /// 2Σwyp / Σw(y + p) with w = 1/(Σy)², Sudre.
    GeneralizedSquare,
    /// The same with w = 1/Σy.
    GeneralizedSimple,
}

/// Everything that the loss depends on.
#[derive(Clone, Debug)]
pub struct Problem {
    /// B.
    pub batch: usize,
    /// C.
    pub classes: usize,
    /// I.
    pub voxels: usize,
    /// Predictions `[B, C, I]`.
    pub p: Vec<f64>,
    /// Targets `[B, C, I]`.
    pub y: Vec<f64>,
    /// Voxels that count, `[B, I]`.
    pub mask: Vec<bool>,
    /// Maps that are annotated, `[B, C]`.
    pub annotated: Vec<bool>,
    /// What happens to the others.
    pub missing: Missing,
    /// Φ.
    pub phi: Phi,
    /// ε in the numerator, one per class (equal if Φ mixes classes).
    pub eps_numerator: Vec<f64>,
    /// ε in the denominator, likewise.
    pub eps_denominator: Vec<f64>,
    /// Class weights.
    pub weights: Vec<f64>,
    /// Divide by the sum of the weights instead of |Φ|.
    pub normalised: bool,
    /// Dice or a relative.
    pub member: Member,
    /// The focal exponent.
    pub gamma: f64,
}

impl Problem {
    /// DL_Φ of `[B, C, I]` arrays with one ε, equal weights, nothing masked and nothing missing.
    pub fn new(batch: usize, classes: usize, p: Vec<f64>, y: Vec<f64>, phi: Phi, epsilon: f64) -> Self {
        let voxels = p.len() / (batch * classes);
        Self {
            batch,
            classes,
            voxels,
            p,
            y,
            mask: vec![true; batch * voxels],
            annotated: vec![true; batch * classes],
            missing: Missing::AsEmpty,
            phi,
            eps_numerator: vec![epsilon; classes],
            eps_denominator: vec![epsilon; classes],
            weights: vec![1.0; classes],
            normalised: true,
            member: Member::Dice,
            gamma: 1.0,
        }
    }

    /// The rule of leaf Dice as the paper ran it: a map without ground truth is missing.
    pub fn infer_missing(&mut self) {
        for b in 0..self.batch {
            for c in 0..self.classes {
                let mut size = 0.0;
                for i in 0..self.voxels {
                    if self.mask[b * self.voxels + i] {
                        size += self.y[self.at(b, c, i)];
                    }
                }
                // The background of marginal Dice is never missing.
                let background = self.missing == Missing::Marginal && c == 0;
                self.annotated[b * self.classes + c] = size > 0.0 || background;
            }
        }
    }

    fn at(&self, b: usize, c: usize, i: usize) -> usize {
        (b * self.classes + c) * self.voxels + i
    }

    fn is_missing(&self, b: usize, c: usize) -> bool {
        self.missing != Missing::AsEmpty && !self.annotated[b * self.classes + c]
    }

    /// p' of marginal Dice: p'_0 = p_0 + Σ_{c missing} p_c; p itself otherwise.
    fn p_prime(&self) -> Vec<f64> {
        let mut p = self.p.clone();
        if self.missing == Missing::Marginal {
            for b in 0..self.batch {
                for c in 1..self.classes {
                    for i in 0..self.voxels {
                        if self.is_missing(b, c) {
                            let from = self.at(b, c, i);
                            let to = self.at(b, 0, i);
                            p[to] += self.p[from];
                            p[from] = 0.0;
                        }
                    }
                }
            }
        }
        p
    }

    /// The subsets φ, each a list of maps (b, c), with the class that gives ε and weight.
    fn subsets(&self) -> Vec<(usize, Vec<(usize, usize)>)> {
        let mut subsets = Vec::new();
        match self.phi {
            Phi::I => {
                for b in 0..self.batch {
                    for c in 0..self.classes {
                        subsets.push((c, vec![(b, c)]));
                    }
                }
            }
            Phi::CI => {
                for b in 0..self.batch {
                    subsets.push((0, (0..self.classes).map(|c| (b, c)).collect()));
                }
            }
            Phi::BI => {
                for c in 0..self.classes {
                    subsets.push((c, (0..self.batch).map(|b| (b, c)).collect()));
                }
            }
            Phi::BCI => {
                let mut all = Vec::new();
                for b in 0..self.batch {
                    for c in 0..self.classes {
                        all.push((b, c));
                    }
                }
                subsets.push((0, all));
            }
        }
        let mixed = matches!(self.phi, Phi::CI | Phi::BCI);
        for (_, maps) in &mut subsets {
            let switched_off = |c: usize| mixed && self.weights[c] == 0.0;
            maps.retain(|&(b, c)| !self.is_missing(b, c) && !switched_off(c));
        }
        subsets
    }

    /// The share of a subset in the mean: 1/|Φ| if all weights are 1.
    fn share(&self, class: usize, subsets: &[(usize, Vec<(usize, usize)>)]) -> f64 {
        let weight = |c: usize| if matches!(self.phi, Phi::CI | Phi::BCI) { 1.0 } else { self.weights[c] };
        let mut total = 0.0;
        for &(c, _) in subsets {
            total += if self.normalised { weight(c) } else { 1.0 };
        }
        weight(class) / total
    }

    /// w of generalized Dice for class c of a subset; 1 for all others. An infinite weight becomes the largest
    /// finite one of the subset, as in MONAI.
    fn volume_weight(&self, c: usize, maps: &[(usize, usize)]) -> f64 {
        let weight_of = |class: usize| {
            let mut size = 0.0;
            for &(b, k) in maps {
                if k == class {
                    for i in 0..self.voxels {
                        if self.mask[b * self.voxels + i] {
                            size += self.y[self.at(b, k, i)];
                        }
                    }
                }
            }
            if self.member == Member::GeneralizedSquare { 1.0 / (size * size) } else { 1.0 / size }
        };
        match self.member {
            Member::GeneralizedSquare | Member::GeneralizedSimple => {
                let own = weight_of(c);
                if own.is_finite() {
                    return own;
                }
                let mut largest = 0.0;
                for &(_, k) in maps {
                    if weight_of(k).is_finite() {
                        largest = f64::max(largest, weight_of(k));
                    }
                }
                largest
            }
            _ => 1.0,
        }
    }

    /// What one voxel adds to the denominator, and the derivative of that with respect to p.
    fn denominator_of(&self, y: f64, p: f64) -> (f64, f64) {
        match self.member {
            Member::Dice | Member::GeneralizedSquare | Member::GeneralizedSimple => (y + p, 1.0),
            Member::Squared => (y * y + p * p, 2.0 * p),
            Member::Jaccard => (2.0 * (y + p - y * p), 2.0 * (1.0 - y)),
            Member::Tversky(alpha, beta) => (
                2.0 * (y * p + alpha * p * (1.0 - y) + beta * y * (1.0 - p)),
                2.0 * (y + alpha * (1.0 - y) - beta * y),
            ),
        }
    }

    /// Numerator and denominator without ε: 2 O_φ and U_φ for Dice, over the voxels that count.
    fn numerator_and_denominator(&self, p: &[f64], maps: &[(usize, usize)]) -> (f64, f64) {
        let (mut numerator, mut denominator) = (0.0, 0.0);
        for &(b, c) in maps {
            let weight = self.volume_weight(c, maps);
            for i in 0..self.voxels {
                if self.mask[b * self.voxels + i] {
                    let (y, p) = (self.y[self.at(b, c, i)], p[self.at(b, c, i)]);
                    numerator += weight * 2.0 * y * p;
                    denominator += weight * self.denominator_of(y, p).0;
                }
            }
        }
        (numerator, denominator)
    }

    /// DL, Eq. 3, or what stands for it in the family. A subset left with nothing has Dice 1.
    pub fn loss(&self) -> f64 {
        let p = self.p_prime();
        let subsets = self.subsets();
        let mut loss = 1.0;
        for (class, maps) in &subsets {
            let (numerator, denominator) = self.numerator_and_denominator(&p, maps);
            let dice = if maps.is_empty() {
                1.0
            } else {
                (numerator + self.eps_numerator[*class]) / (denominator + self.eps_denominator[*class])
            };
            // D is at most 1, up to rounding.
            let focal = if self.gamma == 1.0 { 1.0 - dice } else { (1.0 - dice).max(0.0).powf(self.gamma) };
            loss -= self.share(*class, &subsets) * (1.0 - focal);
        }
        loss
    }

    /// ∂DL/∂p `[B, C, I]`, Eq. 4, by the quotient rule.
    pub fn gradient(&self) -> Vec<f64> {
        let p = self.p_prime();
        let subsets = self.subsets();
        let mut gradient = vec![0.0; self.p.len()];
        for (class, maps) in &subsets {
            let (numerator, denominator) = self.numerator_and_denominator(&p, maps);
            let (n, d) = (numerator + self.eps_numerator[*class], denominator + self.eps_denominator[*class]);
            let outer = if self.gamma == 1.0 {
                1.0
            } else {
                self.gamma * (1.0 - n / d).max(0.0).powf(self.gamma - 1.0)
            };
            for &(b, c) in maps {
                let weight = self.volume_weight(c, maps);
                for i in 0..self.voxels {
                    if self.mask[b * self.voxels + i] {
                        let y = self.y[self.at(b, c, i)];
                        let dn = weight * 2.0 * y;
                        let dd = weight * self.denominator_of(y, p[self.at(b, c, i)]).1;
                        gradient[self.at(b, c, i)] =
                            -self.share(*class, &subsets) * outer * (dn / d - n * dd / d.powi(2));
                    }
                }
            }
        }
        if self.missing == Missing::Marginal {
            // ∂p'_0/∂p_c = 1 for missing c.
            for b in 0..self.batch {
                for c in 1..self.classes {
                    for i in 0..self.voxels {
                        if self.is_missing(b, c) {
                            gradient[self.at(b, c, i)] = gradient[self.at(b, 0, i)];
                        }
                    }
                }
            }
        }
        gradient
    }
}

/// The one-hot form `[B, C, I]` of a label map `[B, I]`.
pub fn one_hot(batch: usize, classes: usize, labels: &[usize]) -> Vec<f64> {
    let voxels = labels.len() / batch;
    let mut y = vec![0.0; batch * classes * voxels];
    for b in 0..batch {
        for i in 0..voxels {
            y[(b * classes + labels[b * voxels + i]) * voxels + i] = 1.0;
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn dsc_of_half_overlapping_pairs_is_one_half() {
        assert_close(dsc(&[true, true, false], &[false, true, true]), 0.5);
    }

    /// One image, two maps of two voxels, ε = 1. By hand: O = (0.5, 0.2), U = (2, 1.5), so D = (2/3, 1.4/2.5);
    /// in one subset O = 0.7, U = 3.5, D = 2.4/4.5.
    #[test]
    fn the_loss_agrees_with_eq_3_by_hand() {
        let (p, y) = (vec![0.5, 0.5, 0.2, 0.3], vec![1.0, 0.0, 1.0, 0.0]);
        let image_wise = Problem::new(1, 2, p.clone(), y.clone(), Phi::I, 1.0);
        assert_close(image_wise.loss(), 1.0 - (2.0 / 3.0 + 0.56) / 2.0);
        assert_close(Problem::new(1, 2, p, y, Phi::BCI, 1.0).loss(), 1.0 - 2.4 / 4.5);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let p: Vec<f64> = (0..24).map(|i| 0.1 + 0.8 * f64::from(i * 7 % 11) / 11.0).collect();
        let y: Vec<f64> = (0..24).map(|i| f64::from(i * 5 % 3 == 0)).collect();
        for phi in [Phi::I, Phi::CI, Phi::BI, Phi::BCI] {
            for missing in [Missing::AsEmpty, Missing::Leaf, Missing::Marginal] {
                let mut problem = Problem::new(2, 3, p.clone(), y.clone(), phi, 0.1);
                problem.missing = missing;
                problem.annotated[5] = false;
                let gradient = problem.gradient();
                assert_is_slope(&problem, &gradient);
            }
        }
    }

    fn assert_is_slope(problem: &Problem, gradient: &[f64]) {
        for (k, gradient) in gradient.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = problem.clone();
                moved.p[k] += step;
                moved.loss()
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((gradient - slope).abs() < 1e-9, "{:?} {:?} element {k}", problem.phi, problem.member);
        }
    }

    #[test]
    fn the_gradient_of_every_relative_is_the_slope_of_its_loss() {
        let p: Vec<f64> = (0..24).map(|i| 0.1 + 0.8 * f64::from(i * 7 % 11) / 11.0).collect();
        let y: Vec<f64> = (0..24).map(|i| f64::from(i * 5 % 3) / 2.0).collect();
        for member in [
            Member::Squared,
            Member::Jaccard,
            Member::Tversky(0.3, 0.8),
            Member::GeneralizedSquare,
            Member::GeneralizedSimple,
        ] {
            for (phi, gamma) in [(Phi::I, 1.0), (Phi::CI, 2.0), (Phi::BI, 0.75), (Phi::BCI, 1.5)] {
                let mut problem = Problem::new(2, 3, p.clone(), y.clone(), phi, 0.1);
                (problem.member, problem.gamma) = (member, gamma);
                let gradient = problem.gradient();
                assert_is_slope(&problem, &gradient);
            }
        }
    }

    /// One map of two voxels, p = (½, ½), y = (1, 0), ε = 0. By hand: squared 1/(1 + ½), Jaccard ½/1½,
    /// Tversky with α = 0.2, β = 0.6: ½/(½ + 0.1 + 0.3).
    #[test]
    fn the_relatives_agree_with_their_formulas_by_hand() {
        let value = |member| {
            let mut problem = Problem::new(1, 1, vec![0.5, 0.5], vec![1.0, 0.0], Phi::I, 0.0);
            problem.member = member;
            1.0 - problem.loss()
        };
        assert_close(value(Member::Squared), 1.0 / 1.5);
        assert_close(value(Member::Jaccard), 0.5 / 1.5);
        assert_close(value(Member::Tversky(0.2, 0.6)), 0.5 / 0.9);
        assert_close(value(Member::Tversky(0.5, 0.5)), value(Member::Dice));
        assert_close(value(Member::Tversky(1.0, 1.0)), value(Member::Jaccard));
    }

    /// Two classes of 1 and 2 voxels: w = 1 and ¼ (or 1 and ½). O = (½, 1), U = (1 + 1, 2 + 1½).
    #[test]
    fn generalized_dice_agrees_with_sudre_by_hand() {
        let (p, y) = (vec![0.5, 0.25, 0.25, 0.5, 0.5, 0.5], vec![1.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        let mut problem = Problem::new(1, 2, p, y, Phi::CI, 0.0);
        problem.member = Member::GeneralizedSquare;
        assert_close(1.0 - problem.loss(), 2.0 * (0.5 + 0.25) / (2.0 + 3.5 / 4.0));
        problem.member = Member::GeneralizedSimple;
        assert_close(1.0 - problem.loss(), 2.0 * (0.5 + 0.5) / (2.0 + 3.5 / 2.0));
    }
}
