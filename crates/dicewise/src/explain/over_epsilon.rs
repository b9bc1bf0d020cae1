use super::{Explanation, Scenario, explain};
use crate::{DiceError, DiceLoss, Epsilon};

/// What a loss would teach in a scenario with each of these ε, in voxels, in its order.
///
/// ε stays where the loss has it: in numerator and denominator, or in the denominator only. It is the same for all
/// classes.
///
/// ```
/// use dicewise::{DiceLoss, Epsilon, Partition, Shape, explain::{Scenario, Verdict, over_epsilon}};
///
/// let loss = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1e-5)?)?;
/// let scenario = Scenario::new(Shape::new(2, 3, 64 * 64)?, 400.0)?;
/// let verdicts: Vec<Verdict> =
///     over_epsilon(&loss, &scenario, &[1e-7, 10.0, 400.0])?.iter().map(|e| e.on_empty).collect();
/// assert_eq!(verdicts, [Verdict::Ignores, Verdict::InBetween, Verdict::Learns]);
/// # Ok::<(), dicewise::DiceError>(())
/// ```
///
/// # Errors
/// An ε that is negative or not finite, and those of [`explain`].
pub fn over_epsilon(
    loss: &DiceLoss,
    scenario: &Scenario,
    epsilons: &[f64],
) -> Result<Vec<Explanation>, DiceError> {
    let in_numerator = loss.epsilon().numerator(scenario.class()) != 0.0;
    let explained = |&epsilon: &f64| {
        let numerator = if in_numerator { epsilon } else { 0.0 };
        explain(&loss.clone().with_epsilon(Epsilon::new(numerator, epsilon)?)?, scenario)
    };
    epsilons.iter().map(explained).collect()
}
