//! One step of Adam in one pass over its four tensors.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::NetworkOps;
use crate::{Adam, has_kernels};

/// The two running moments, `[N]` each.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Of the gradient.
    pub first: Tensor<1>,
    /// Of its square.
    pub second: Tensor<1>,
}

/// The weights and moments after one step of Adam (Kingma and Ba 2015).
///
/// ```text
/// g ← g + decay · w
/// m ← β₁ m + (1 − β₁) g
/// v ← β₂ v + (1 − β₂) g²
/// w ← w − rate · m / (√v + ε)
/// ```
///
/// Without automatic differentiation. On Burn's CPU backend tensors that nobody else holds are changed in place.
///
/// # Shapes
///
/// All `[N]`. `moments` that are absent are zero.
///
/// # Panics
///
/// If lengths differ.
pub fn adam_step(
    adam: &Adam,
    weights: Tensor<1>,
    gradient: Tensor<1>,
    moments: Option<Moments>,
) -> (Tensor<1>, Moments) {
    let zeros = || Moments { first: weights.zeros_like(), second: weights.zeros_like() };
    let Moments { first, second } = moments.unwrap_or_else(zeros);
    for (name, tensor) in [("gradient", &gradient), ("first moment", &first), ("second moment", &second)] {
        let (expected, actual) = (weights.dims()[0], tensor.dims()[0]);
        assert_eq!(actual, expected, "adam_step: the {name} has {actual} values for {expected} weights");
    }
    if [&weights, &gradient, &first, &second].into_iter().all(has_kernels) {
        let [w, g, m, v] = [weights, gradient, first, second].map(Tensor::into_dispatch);
        let (weights, first, second) = <Dispatch as NetworkOps>::adam_step(w, g, m, v, *adam);
        let [weights, first, second] = [weights, first, second].map(Tensor::from_dispatch);
        return (weights, Moments { first, second });
    }
    let [beta_1, beta_2] = adam.betas;
    let gradient = gradient + weights.clone() * adam.decay;
    let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
    let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
    let update = first.clone() / (second.clone().sqrt() + adam.epsilon) * adam.rate;
    (weights - update, Moments { first, second })
}
