//! What the maps of a batch were taught, by the loss's own coefficients.
use dicewise::{DiceSums, DiceTerms};

/// Mean losses, derivatives and predictions over the foreground maps of one batch, those without ground truth (Σy = 0) and
/// those with an object apart. None where the batch has no such map.
///
/// With ∂DL/∂p = a − b·y (Eq. 4): where y = 0 it is a, above 0 pushes the prediction down; where y = 1 it is a − b.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lesson {
    /// Mean 1 − D_φ over maps without ground truth, φ being the subset that a map is in. Maps that the loss leaves out
    /// do not count.
    pub loss_empty: Option<f64>,
    /// Mean 1 − D_φ over maps with an object.
    pub loss_present: Option<f64>,
    /// Mean a over maps without ground truth.
    pub push_empty: Option<f64>,
    /// Mean a over maps with an object.
    pub push_present: Option<f64>,
    /// Mean b − a over maps with an object.
    pub pull_present: Option<f64>,
    /// Mean Σp over maps without ground truth, in voxels.
    pub mass_empty: Option<f64>,
    /// Mean Σp over maps with an object, in voxels.
    pub mass_present: Option<f64>,
}

impl Lesson {
    /// Of the classes from `first_class` on: 1 leaves a background class out.
    pub(crate) fn of(sums: &DiceSums, terms: &DiceTerms, first_class: usize) -> Self {
        let (batch, classes) = (sums.batch(), sums.classes());
        let maps = |empty: bool| {
            let foreground = (0..batch * classes).filter(move |map| map % classes >= first_class);
            foreground.filter(move |&map| (sums.target()[map] == 0.0) == empty)
        };
        let mean_of = |empty: bool, value: &dyn Fn(usize) -> Option<f64>| {
            let values = maps(empty).filter_map(value);
            let (n, sum) = values.fold((0usize, 0.0), |(n, sum), value| (n + 1, sum + value));
            (n > 0).then(|| sum / n as f64)
        };
        let mean = |empty: bool, value: &dyn Fn(usize) -> f64| mean_of(empty, &|map| Some(value(map)));
        let loss = |map: usize| terms.map_loss(map / classes, map % classes);
        let outside = |map: usize| terms.derivative(map / classes, map % classes, 0.0);
        let inside = |map: usize| terms.derivative(map / classes, map % classes, 1.0);
        Self {
            loss_empty: mean_of(true, &loss),
            loss_present: mean_of(false, &loss),
            push_empty: mean(true, &outside),
            push_present: mean(false, &outside),
            pull_present: mean(false, &|map| -inside(map)),
            mass_empty: mean(true, &|map| sums.prediction()[map]),
            mass_present: mean(false, &|map| sums.prediction()[map]),
        }
    }
}

#[cfg(test)]
mod tests {
    use dicewise::{DiceLoss, Epsilon, MissingLabels, MissingRule, Partition};

    use super::*;

    /// Two images, background and one class, 10 voxels; the class is empty in the second image.
    #[test]
    fn empty_and_present_maps_are_told_apart_and_the_background_is_left_out() {
        let sums = DiceSums::from_parts(
            2,
            2,
            vec![5.0, 1.0, 8.0, 0.0],
            vec![8.0, 2.0, 10.0, 0.0],
            vec![7.0, 3.0, 8.0, 2.0],
        )
        .unwrap();
        let loss = DiceLoss::new(Partition::ImageWise, Epsilon::uniform(1.0).unwrap()).unwrap();
        let lesson = Lesson::of(&sums, &loss.terms(&sums, None).unwrap(), 1);
        // Eq. 4 with |Φ| = 4: empty ε/(4(Σp + ε)²) = 1/36; present, O = 1, U = 5: a = 3/(4·36), b = 2/(4·6).
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-15;
        assert!(close(lesson.push_empty, 1.0 / 36.0), "{lesson:?}");
        assert!(close(lesson.push_present, 3.0 / 144.0), "{lesson:?}");
        assert!(close(lesson.pull_present, 2.0 / 24.0 - 3.0 / 144.0), "{lesson:?}");
        assert_eq!((lesson.mass_empty, lesson.mass_present), (Some(2.0), Some(3.0)));
        // Eq. 3: D = ε/(Σp + ε) = 1/3 on the empty map, (2O + ε)/(U + ε) = 3/6 on the other.
        assert!(close(lesson.loss_empty, 2.0 / 3.0) && close(lesson.loss_present, 0.5), "{lesson:?}");
        // A batch without an empty map says nothing about empty maps.
        let full = DiceSums::from_parts(1, 2, vec![5.0, 1.0], vec![8.0, 2.0], vec![7.0, 3.0]).unwrap();
        let lesson = Lesson::of(&full, &loss.terms(&full, None).unwrap(), 1);
        assert_eq!((lesson.loss_empty, lesson.push_empty, lesson.mass_empty), (None, None, None));
    }

    /// Under batch-wise Dice both maps share one D = (2 + ε)/(U + ε) = 3/8; a map left out has no loss at all.
    #[test]
    fn the_loss_of_a_map_is_that_of_its_subset() {
        let sums = DiceSums::from_parts(2, 1, vec![1.0, 0.0], vec![2.0, 0.0], vec![3.0, 2.0]).unwrap();
        let loss = DiceLoss::new(Partition::BatchWise, Epsilon::uniform(1.0).unwrap()).unwrap();
        let lesson = Lesson::of(&sums, &loss.terms(&sums, None).unwrap(), 0);
        assert_eq!((lesson.loss_empty, lesson.loss_present), (Some(0.625), Some(0.625)));
        let leaf = loss.with_missing_labels(MissingLabels::Leaf(MissingRule::Inferred)).unwrap();
        let lesson = Lesson::of(&sums, &leaf.terms(&sums, None).unwrap(), 0);
        // D = 3/6 without the other map.
        assert_eq!((lesson.loss_empty, lesson.loss_present), (None, Some(0.5)));
    }
}
