//! From logits, and with cross-entropy.

use crate::{Missing, Problem};

/// How logits become probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// They are probabilities.
    None,
    /// p = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// p_c = e^(x_c) / Σ_k e^(x_k).
    Softmax,
}

/// w_D · DL(activation(x)) + w_CE · CE(x).
#[derive(Clone, Debug)]
pub struct Logits {
    /// All that the Dice loss depends on; its p is not looked at.
    pub problem: Problem,
    /// Logits `[B, C, I]`.
    pub x: Vec<f64>,
    /// How they become probabilities.
    pub activation: Activation,
    /// w_D.
    pub dice_weight: f64,
    /// w_CE.
    pub cross_entropy_weight: f64,
}

impl Logits {
    /// p `[B, C, I]`.
    pub fn p(&self) -> Vec<f64> {
        let of = &self.problem;
        let mut p = self.x.clone();
        for b in 0..of.batch {
            for i in 0..of.voxels {
                for c in 0..of.classes {
                    let x = self.x[of.at(b, c, i)];
                    p[of.at(b, c, i)] = match self.activation {
                        Activation::None => x,
                        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
                        Activation::Softmax => {
                            let mut sum = 0.0;
                            for k in 0..of.classes {
                                sum += (self.x[of.at(b, k, i)] - x).exp();
                            }
                            1.0 / sum
                        }
                    };
                }
            }
        }
        p
    }

    fn with_p(&self) -> Problem {
        let mut problem = self.problem.clone();
        problem.p = self.p();
        problem
    }

    /// The classes that class c is merged with: with the background, if missing.
    fn group(&self, b: usize, c: usize) -> Vec<usize> {
        let of = &self.problem;
        let merged = |c: usize| c == 0 || of.missing != Missing::AsEmpty && !of.annotated[b * of.classes + c];
        if merged(c) { (0..of.classes).filter(|&k| merged(k)).collect() } else { vec![c] }
    }

    /// Voxels that count, for softmax; voxels of annotated maps that count, for sigmoid.
    fn count(&self) -> f64 {
        let of = &self.problem;
        let mut count = 0.0;
        for b in 0..of.batch {
            for i in 0..of.voxels {
                if of.mask[b * of.voxels + i] {
                    match self.activation {
                        Activation::Sigmoid => {
                            count += (0..of.classes).filter(|&c| !of.is_missing(b, c)).count() as f64;
                        }
                        _ => count += 1.0,
                    }
                }
            }
        }
        count
    }

    /// CE, the mean over what counts; 0 if nothing does.
    pub fn cross_entropy(&self) -> f64 {
        let (of, p) = (self.with_p(), self.p());
        let mut sum = 0.0;
        for b in 0..of.batch {
            for i in 0..of.voxels {
                if !of.mask[b * of.voxels + i] {
                    continue;
                }
                for c in 0..of.classes {
                    let (x, y) = (self.x[of.at(b, c, i)], of.y[of.at(b, c, i)]);
                    match self.activation {
                        Activation::Sigmoid => {
                            if !of.is_missing(b, c) {
                                // −y ln p − (1 − y) ln(1 − p)
                                sum += y * (-x).exp().ln_1p() + (1.0 - y) * x.exp().ln_1p();
                            }
                        }
                        _ => {
                            let mut group = 0.0;
                            for k in self.group(b, c) {
                                group += p[of.at(b, k, i)];
                            }
                            if y != 0.0 {
                                sum -= y * group.ln();
                            }
                        }
                    }
                }
            }
        }
        if self.count() == 0.0 { 0.0 } else { sum / self.count() }
    }

    /// The loss.
    pub fn loss(&self) -> f64 {
        let cross_entropy = if self.cross_entropy_weight == 0.0 {
            0.0
        } else {
            self.cross_entropy_weight * self.cross_entropy()
        };
        self.dice_weight * self.with_p().loss() + cross_entropy
    }

    /// ∂L/∂x `[B, C, I]`, by the chain rule through every ∂p_k/∂x_c.
    pub fn gradient(&self) -> Vec<f64> {
        let of = self.with_p();
        let by_p = of.gradient();
        let mut gradient = vec![0.0; self.x.len()];
        for b in 0..of.batch {
            for i in 0..of.voxels {
                if !of.mask[b * of.voxels + i] {
                    continue;
                }
                for c in 0..of.classes {
                    // ∂p_k/∂x_c.
                    let jacobian = |k: usize| {
                        let (p_k, p_c) = (of.p[of.at(b, k, i)], of.p[of.at(b, c, i)]);
                        let same = f64::from(k == c);
                        match self.activation {
                            Activation::None => same,
                            Activation::Sigmoid => same * p_k * (1.0 - p_k),
                            Activation::Softmax => p_k * (same - p_c),
                        }
                    };
                    let mut sum = 0.0;
                    for k in 0..of.classes {
                        sum += self.dice_weight * by_p[of.at(b, k, i)] * jacobian(k);
                    }
                    if self.cross_entropy_weight != 0.0 && self.count() != 0.0 {
                        sum += self.cross_entropy_weight / self.count()
                            * self.cross_entropy_slope(&of, b, c, i, jacobian);
                    }
                    gradient[of.at(b, c, i)] = sum;
                }
            }
        }
        gradient
    }

    /// The derivative of one voxel's cross-entropy with respect to x_c.
    fn cross_entropy_slope(
        &self,
        of: &Problem,
        b: usize,
        c: usize,
        i: usize,
        jacobian: impl Fn(usize) -> f64,
    ) -> f64 {
        if self.activation == Activation::Sigmoid {
            let own = of.p[of.at(b, c, i)] - of.y[of.at(b, c, i)];
            return if of.is_missing(b, c) { 0.0 } else { own };
        }
        let mut slope = 0.0;
        for k in 0..of.classes {
            let (mut group, mut group_slope) = (0.0, 0.0);
            for m in self.group(b, k) {
                group += of.p[of.at(b, m, i)];
                group_slope += jacobian(m);
            }
            slope -= of.y[of.at(b, k, i)] * group_slope / group;
        }
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Phi;

    /// One voxel, two classes, x = (0, ln 3), label 1: p = (¼, ¾), CE = −ln ¾; with class 1 missing, 0.
    #[test]
    fn cross_entropy_agrees_with_its_formula_by_hand() {
        let mut problem = Problem::new(1, 2, vec![0.0; 2], vec![0.0, 1.0], Phi::I, 1.0);
        let logits = |problem: &Problem, activation| Logits {
            problem: problem.clone(),
            x: vec![0.0, 3_f64.ln()],
            activation,
            dice_weight: 0.0,
            cross_entropy_weight: 1.0,
        };
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        close(logits(&problem, Activation::Softmax).loss(), -0.75_f64.ln());
        close(logits(&problem, Activation::Sigmoid).loss(), -(0.5_f64.ln() + 0.75_f64.ln()) / 2.0);
        (problem.missing, problem.annotated[1]) = (Missing::Leaf, false);
        close(logits(&problem, Activation::Softmax).loss(), 0.0);
        close(logits(&problem, Activation::Sigmoid).loss(), -0.5_f64.ln());
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let x: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 11) / 3.0 - 1.5).collect();
        let y: Vec<f64> = (0..24).map(|i| f64::from(i * 5 % 4) / 3.0).collect();
        for activation in [Activation::None, Activation::Sigmoid, Activation::Softmax] {
            for missing in [Missing::AsEmpty, Missing::Leaf, Missing::Marginal] {
                let mut problem = Problem::new(2, 3, vec![0.0; 24], y.clone(), Phi::BI, 0.1);
                problem.missing = missing;
                problem.annotated[5] = false;
                problem.mask[3] = false;
                let cross_entropy_weight = if activation == Activation::None { 0.0 } else { 0.7 };
                let logits =
                    Logits { problem, x: x.clone(), activation, dice_weight: 1.3, cross_entropy_weight };
                for (k, gradient) in logits.gradient().into_iter().enumerate() {
                    let at = |step: f64| {
                        let mut moved = logits.clone();
                        moved.x[k] += step;
                        moved.loss()
                    };
                    let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!((gradient - slope).abs() < 1e-8, "{activation:?} {missing:?} element {k}");
                }
            }
        }
    }
}
