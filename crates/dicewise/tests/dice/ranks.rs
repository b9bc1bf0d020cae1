use dicewise::{DiceSums, Presence, Shape};
use proptest::prelude::*;

use crate::cases::{Case, assert_close, case_and_options};

/// Sample `b` of the case, alone.
pub(crate) fn rank(case: &Case, b: usize) -> Case {
    let (c, i) = (case.shape.classes(), case.shape.voxels());
    Case {
        shape: Shape::new(1, c, i).unwrap(),
        p: case.p[b * c * i..(b + 1) * c * i].to_vec(),
        labels: case.labels[b * i..(b + 1) * i].to_vec(),
        dense: case.dense[b * c * i..(b + 1) * c * i].to_vec(),
        soft: case.soft,
        mask: case.mask[b * i..(b + 1) * i].to_vec(),
        annotated: case.annotated[b * c..(b + 1) * c].to_vec(),
    }
}

proptest! {
    #[test]
    fn ranks_that_share_their_sums_equal_one_rank((case, options) in case_and_options()) {
        let loss = options.loss();
        let mut expected = vec![f64::NAN; case.p.len()];
        let value =
            loss.value_and_gradient(&case.p, &case.target(), Some(&case.presence()), &mut expected).unwrap();

        let ranks: Vec<_> = (0..case.shape.batch()).map(|b| rank(&case, b)).collect();
        let sums: Vec<_> = ranks.iter().map(|rank| loss.sums(&rank.p, &rank.target()).unwrap()).collect();
        let presence: Vec<_> = ranks.iter().map(Case::presence).collect();
        let all = DiceSums::concat(&sums).unwrap();
        let terms = loss.terms(&all, Some(&Presence::concat(&presence).unwrap())).unwrap();
        prop_assert_eq!(terms.loss, value);
        for (b, rank) in ranks.iter().enumerate() {
            let own = terms.rows(b..b + 1).unwrap();
            let mut gradient = vec![f64::NAN; rank.p.len()];
            own.write_gradient(&rank.target(), &mut gradient).unwrap();
            assert_close(&gradient, &expected[b * gradient.len()..(b + 1) * gradient.len()], 0.0, 0.0);
        }
    }

    /// The other documented way: zero-padded arrays of the whole batch, added.
    #[test]
    fn zero_padded_sums_may_be_added_instead((case, options) in case_and_options()) {
        let loss = options.loss();
        let whole = loss.sums(&case.p, &case.target()).unwrap();
        let (batch, classes) = (whole.batch(), whole.classes());
        let mut parts = [(); 4].map(|()| vec![0.0; batch * classes]);
        for b in 0..batch {
            let rank = rank(&case, b);
            let own = loss.sums(&rank.p, &rank.target()).unwrap();
            for c in 0..classes {
                parts[0][b * classes + c] += own.overlap()[c];
                parts[1][b * classes + c] += own.target()[c];
                parts[2][b * classes + c] += own.prediction()[c];
                parts[3][b * classes + c] += own.background_overlap().map_or(0.0, |sums| sums[c]);
            }
        }
        let [overlap, target, prediction, background] = parts;
        let mut sums = DiceSums::from_parts(batch, classes, overlap, target, prediction).unwrap();
        if whole.background_overlap().is_some() {
            sums = sums.with_background_overlap(background).unwrap();
        }
        prop_assert_eq!(sums, whole);
    }
}
