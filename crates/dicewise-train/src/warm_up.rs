//! ε warm-up: a tiny ε first, the large one once it no longer makes a class disappear.
use dicewise::{DiceError, DiceLoss, DiceSums, Epsilon};
use serde::{Deserialize, Serialize};

use crate::exact;

/// When the large ε takes over.
#[derive(Clone, Debug, PartialEq)]
pub enum WarmUp {
    /// After so many iterations. The loss is the one for these, usually the same with a tiny ε.
    Iterations(usize, DiceLoss),
    /// For each class once Dice with its large ε would rise if its predictions grew. Here is the loss with the tiny ε.
    Growth(DiceLoss),
}

/// Share of the past in the running mean of the growth: about ten iterations.
const MEMORY: f64 = 0.9;
/// Iterations before the mean is trusted.
const LEAST: usize = 10;

/// Watches, for each class, whether Dice with the large ε would rise or fall if all predictions of the class grew together.
///
/// With p → s·p and sums O = Σyp, V = Σy, P = Σp over a map (Eq. 3),
///
/// ```text
/// D(s) = (2sO + ε) / (V + sP + ε),      dD/ds at 1 = [2O(V + ε) − εP] / (V + P + ε)²
/// ```
///
/// With a tiny ε this is never negative. With ε = V it is negative until O/P, the soft precision, exceeds ¼; for a network
/// that knows nothing, O/P is the share of the volume that the class takes, and the gradient shrinks the class until it is
/// gone. So a class gets its large ε when the mean of dD/ds over maps, empty ones included, has become positive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GrowthWatch {
    #[serde(with = "exact::list")]
    growth: Vec<f64>,
    iterations: usize,
    /// Classes that have their large ε, for good.
    grown: Vec<bool>,
}

impl GrowthWatch {
    /// Whether nothing was seen yet.
    pub(crate) fn is_new(&self) -> bool {
        self.iterations == 0
    }

    /// The loss as it is to be now: of each class the ε of `large` if its time has come, otherwise that of `tiny`.
    ///
    /// Where Φ mixes classes, or every class's ε is in every term, all classes wait for the last.
    pub(crate) fn loss(&self, tiny: &DiceLoss, large: &DiceLoss) -> Result<DiceLoss, DiceError> {
        let grown = |class: usize| self.grown[class];
        if self.grown.iter().all(|&grown| grown) && !self.grown.is_empty() {
            return Ok(large.clone());
        }
        let together = large.partition().mixes_classes() || large.epsilon().is_averaged();
        if together || !self.grown.contains(&true) {
            return Ok(tiny.clone());
        }
        let of = |class: usize| if grown(class) { large.epsilon() } else { tiny.epsilon() };
        let classes = 0..self.grown.len();
        let numerator: Vec<f64> = classes.clone().map(|class| of(class).numerator(class)).collect();
        let denominator: Vec<f64> = classes.map(|class| of(class).denominator(class)).collect();
        large.clone().with_epsilon(Epsilon::per_class_split(&numerator, &denominator)?)
    }

    /// Takes in the sums of a batch; `missing` are maps that the loss leaves out.
    pub(crate) fn observe(&mut self, sums: &DiceSums, large: &DiceLoss, missing: &[bool]) {
        let classes = sums.classes();
        self.growth.resize(classes, 0.0);
        self.grown.resize(classes, false);
        self.iterations += 1;
        for class in 0..classes {
            let epsilon = large.epsilon().denominator(class);
            let maps = (class..sums.batch() * classes).step_by(classes).filter(|&map| !missing[map]);
            let growth: Vec<f64> = maps
                .map(|map| {
                    let (o, v, p) = (sums.overlap()[map], sums.target()[map], sums.prediction()[map]);
                    // Times p, what the whole map does.
                    (2.0 * o * (v + epsilon) - epsilon * p) / (v + p + epsilon).powi(2)
                })
                .collect();
            if growth.is_empty() {
                continue;
            }
            let mean = growth.iter().sum::<f64>() / growth.len() as f64;
            // As if the past had been like the first batch.
            let memory = if self.iterations == 1 { 0.0 } else { MEMORY };
            self.growth[class] = memory * self.growth[class] + (1.0 - memory) * mean;
            self.grown[class] |= self.iterations >= LEAST && self.growth[class] > 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use dicewise::Partition;

    use super::*;

    fn loss(epsilon: Vec<f64>) -> DiceLoss {
        DiceLoss::new(Partition::ImageWise, Epsilon::per_class(epsilon).unwrap()).unwrap()
    }

    fn dice(o: f64, v: f64, p: f64, epsilon: f64, s: f64) -> f64 {
        (2.0 * s * o + epsilon) / (v + s * p + epsilon)
    }

    /// Against central differences of Eq. 3, over maps with an object and without.
    #[test]
    fn growth_is_the_derivative_of_dice_when_predictions_grow() {
        let (o, v, p) = (vec![30.0, 0.0], vec![100.0, 0.0], vec![400.0, 50.0]);
        let sums = DiceSums::from_parts(2, 1, o.clone(), v.clone(), p.clone()).unwrap();
        let mut watch = GrowthWatch::default();
        watch.observe(&sums, &loss(vec![80.0]), &[false; 2]);
        let mean = |s: f64| (0..2).map(|b| dice(o[b], v[b], p[b], 80.0, s)).sum::<f64>() / 2.0;
        let slope = (mean(1.0 + 1e-6) - mean(1.0 - 1e-6)) / 2e-6;
        assert!((watch.growth[0] - slope).abs() < 1e-8, "{} {slope}", watch.growth[0]);
        // Without the map that is missing: the other alone.
        let mut watch = GrowthWatch::default();
        watch.observe(&sums, &loss(vec![80.0]), &[false, true]);
        let first = |s: f64| dice(30.0, 100.0, 400.0, 80.0, s);
        let slope = (first(1.0 + 1e-6) - first(1.0 - 1e-6)) / 2e-6;
        assert!((watch.growth[0] - slope).abs() < 1e-8);
    }

    #[test]
    fn a_class_gets_its_epsilon_when_its_precision_passes_a_quarter_and_keeps_it() {
        let (tiny, large) = (loss(vec![1e-7; 2]), loss(vec![100.0; 2]));
        let mut watch = GrowthWatch::default();
        assert!(watch.is_new());
        // V = ε = 100: the threshold is O/P = ¼. The first class is above, the second below.
        let sums = |second: f64| {
            DiceSums::from_parts(1, 2, vec![30.0, second], vec![100.0; 2], vec![100.0; 2]).unwrap()
        };
        for iteration in 1..=12 {
            watch.observe(&sums(20.0), &large, &[false; 2]);
            let now = watch.loss(&tiny, &large).unwrap();
            let expected = if iteration < 10 { 1e-7 } else { 100.0 };
            assert_eq!((now.epsilon().numerator(0), now.epsilon().denominator(1)), (expected, 1e-7));
        }
        for _ in 0..20 {
            watch.observe(&sums(60.0), &large, &[false; 2]);
        }
        assert_eq!(watch.loss(&tiny, &large).unwrap(), large);
        let lost = DiceSums::from_parts(1, 2, vec![0.0; 2], vec![100.0; 2], vec![500.0; 2]).unwrap();
        for _ in 0..50 {
            watch.observe(&lost, &large, &[false; 2]);
        }
        assert_eq!(watch.loss(&tiny, &large).unwrap(), large);
    }

    #[test]
    fn where_subsets_mix_classes_all_wait_for_the_last() {
        let loss = |epsilon| DiceLoss::new(Partition::AllWise, Epsilon::uniform(epsilon).unwrap()).unwrap();
        let watch = GrowthWatch { growth: vec![1.0, -1.0], iterations: 20, grown: vec![true, false] };
        assert_eq!(watch.loss(&loss(1e-7), &loss(100.0)).unwrap(), loss(1e-7));
        let watch = GrowthWatch { grown: vec![true, true], ..watch };
        assert_eq!(watch.loss(&loss(1e-7), &loss(100.0)).unwrap(), loss(100.0));
    }
}
