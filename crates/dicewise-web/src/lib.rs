//! The numbers of the explorer, computed by the loss crate itself.
//!
//! A browser calls these functions as WebAssembly, Rust calls them as they are, and a test demands that both say the
//! same. Every function takes numbers and returns one number, so nothing is shared with JavaScript, no memory and no
//! state: what a page shows is a function of its sliders. `NaN` stands for "the loss refuses this", which is what the
//! typed errors of [`dicewise`] become where only a number can be returned.
//!
//! `cargo xtask wasm` builds the file that `dicewise-report` embeds.

// `no_mangle` counts as unsafe because two symbols of one name would clash; all of ours begin with `dicewise_`.
#![allow(unsafe_code)]

use dicewise::explain::{Explanation, Preset, Scenario, Verdict, explain};
use dicewise::{
    ClassWeights, DiceError, DiceLoss, Epsilon, EpsilonSolutions, MissingLabels, MissingRule, Partition,
    Shape, solve_epsilon,
};

/// What [`dicewise_explain`] and [`dicewise_explain_preset`] can be asked for, by the place in this list.
pub const QUANTITIES: [&str; 8] = [
    "present_inside",
    "present_outside",
    "empty",
    "missing",
    "push_on_empty",
    "on_empty",
    "on_missing",
    "missing_is_background",
];

/// One [`QUANTITIES`] of the loss with partition `partition` (0 I, 1 CI, 2 BI, 3 BCI).
///
/// Missing labels are taken as empty (`missing` = 0), treated by leaf (1) or marginal Dice (2) where declared, or by
/// leaf (3) or marginal Dice (4) wherever a label is empty. The background class is left out if `foreground` is not 0.
/// The scenario is [`Scenario`]'s: `inside` and `outside` are the probabilities predicted on an object of `object`
/// voxels and elsewhere.
#[allow(clippy::too_many_arguments)] // Numbers are all that can be handed over.
#[unsafe(no_mangle)]
pub extern "C" fn dicewise_explain(
    quantity: u32,
    partition: u32,
    epsilon_numerator: f64,
    epsilon_denominator: f64,
    missing: u32,
    foreground: u32,
    batch: u32,
    classes: u32,
    voxels: f64,
    object: f64,
    inside: f64,
    outside: f64,
) -> f64 {
    let explained = || -> Result<Explanation, DiceError> {
        let scenario = scenario(batch, classes, voxels, object, inside, outside)?;
        let partition = Partition::ALL[(partition as usize).min(3)];
        let mut loss = DiceLoss::new(partition, Epsilon::new(epsilon_numerator, epsilon_denominator)?)?;
        if foreground != 0 {
            loss = loss.with_class_weights(ClassWeights::without_background(classes as usize)?)?;
        }
        let missing = match missing {
            1 => MissingLabels::Leaf(MissingRule::Declared),
            2 => MissingLabels::Marginal(MissingRule::Declared),
            3 => MissingLabels::Leaf(MissingRule::Inferred),
            4 => MissingLabels::Marginal(MissingRule::Inferred),
            _ => MissingLabels::AsEmpty,
        };
        explain(&loss.with_missing_labels(missing)?, &scenario)
    };
    explained().map_or(f64::NAN, |explanation| pick(&explanation, quantity))
}

/// One [`QUANTITIES`] of a loss as another package ships it, by its place in [`Preset::ALL`], generalized Dice included.
#[allow(clippy::too_many_arguments)]
#[unsafe(no_mangle)]
pub extern "C" fn dicewise_explain_preset(
    quantity: u32,
    preset: u32,
    batch: u32,
    classes: u32,
    voxels: f64,
    object: f64,
    inside: f64,
    outside: f64,
) -> f64 {
    let Some(preset) = Preset::ALL.get(preset as usize) else { return f64::NAN };
    scenario(batch, classes, voxels, object, inside, outside)
        .and_then(|scenario| preset.explain(&scenario))
        .map_or(f64::NAN, |explanation| pick(&explanation, quantity))
}

/// A solution ε of Eq. 5 in voxels: the small one (`large` = 0) or the large one. `NaN` where there is none.
///
/// `overlap` and `union` are in units of the object's size, as in [`solve_epsilon`].
#[unsafe(no_mangle)]
pub extern "C" fn dicewise_solve_epsilon(large: u32, object: f64, overlap: f64, union: f64) -> f64 {
    match solve_epsilon(object, overlap, union) {
        Ok(EpsilonSolutions::Two { lo, hi }) => [lo, hi][usize::from(large != 0)],
        Ok(EpsilonSolutions::One(epsilon)) => epsilon,
        Ok(EpsilonSolutions::None) | Err(_) => f64::NAN,
    }
}

fn scenario(
    batch: u32,
    classes: u32,
    voxels: f64,
    object: f64,
    inside: f64,
    outside: f64,
) -> Result<Scenario, DiceError> {
    // `as` saturates, and a shape of zero voxels is refused.
    let shape = Shape::new(batch as usize, classes as usize, voxels as usize)?;
    Scenario::new(shape, object)?.with_prediction(inside, outside)
}

fn pick(explanation: &Explanation, quantity: u32) -> f64 {
    match quantity {
        0 => explanation.present.inside,
        1 => explanation.present.outside,
        2 => explanation.empty,
        3 => explanation.missing,
        4 => explanation.push_on_empty(),
        5 => verdict(explanation.on_empty),
        6 => verdict(explanation.on_missing),
        7 => f64::from(u8::from(explanation.missing_is_background)),
        _ => f64::NAN,
    }
}

/// 0 ignores, 1 in between, 2 learns.
fn verdict(verdict: Verdict) -> f64 {
    match verdict {
        Verdict::Ignores => 0.0,
        Verdict::InBetween => 1.0,
        Verdict::Learns => 2.0,
    }
}
