//! Random batches, with the same batch as a problem for the oracle.

use dicewise::{
    ClassWeights, DiceLoss, Epsilon, MissingLabels, MissingRule, Partition, Presence, Shape, Similarity,
    Target, VolumeWeight,
};
use dicewise_oracle::{Member, Missing, Phi, Problem, one_hot};
use proptest::{collection::vec, prelude::*};

/// At least so many cases of a property, and more where `PROPTEST_CASES` asks for them; `with_cases` would not listen.
pub(crate) fn at_least(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig { cases: config.cases.max(cases), ..config }
}

/// A label that is no class and is ignored.
pub(crate) const IGNORED: i64 = 255;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    /// `[B, C, I]`.
    pub(crate) p: Vec<f64>,
    /// `[B, I]`, with [`IGNORED`] here and there.
    pub(crate) labels: Vec<i64>,
    /// `[B, C, I]`: used instead of the labels if `soft`.
    pub(crate) dense: Vec<f64>,
    pub(crate) soft: bool,
    pub(crate) mask: Vec<bool>,
    pub(crate) annotated: Vec<bool>,
}

impl Case {
    pub(crate) fn target(&self) -> Target<'_> {
        let target = match self.soft {
            true => Target::dense(self.shape, &self.dense),
            false => Target::labels(self.shape, &self.labels),
        };
        target.unwrap().ignore_index(Some(IGNORED)).masked(&self.mask).unwrap()
    }

    pub(crate) fn presence(&self) -> Presence {
        Presence::new(self.shape.batch(), self.shape.classes(), self.annotated.clone()).unwrap()
    }

    /// y, `[B, C, I]`, as the oracle wants it.
    pub(crate) fn y(&self) -> Vec<f64> {
        if self.soft {
            return self.dense.clone();
        }
        let labels: Vec<_> = self.labels.iter().map(|&l| if l == IGNORED { 0 } else { l as usize }).collect();
        one_hot(self.shape.batch(), self.shape.classes(), &labels)
    }

    /// The voxels that count, `[B, I]`.
    pub(crate) fn counted(&self) -> Vec<bool> {
        let ignored = |i: usize| !self.soft && self.labels[i] == IGNORED;
        (0..self.mask.len()).map(|i| self.mask[i] && !ignored(i)).collect()
    }

    /// The oracle's view of this batch under a loss.
    pub(crate) fn problem(&self, options: &Options) -> Problem {
        let (batch, classes) = (self.shape.batch(), self.shape.classes());
        let mut problem = Problem::new(batch, classes, self.p.clone(), self.y(), options.phi(), 0.0);
        problem.mask = self.counted();
        (problem.eps_numerator, problem.eps_denominator) = options.eps.clone();
        problem.weights = options.weights.clone();
        problem.normalised = options.normalised;
        problem.annotated = self.annotated.clone();
        problem.gamma = options.gamma;
        problem.member = match options.similarity {
            Similarity::Dice => Member::Dice,
            Similarity::SquaredDice => Member::Squared,
            Similarity::Jaccard => Member::Jaccard,
            Similarity::Tversky { alpha, beta } => Member::Tversky(alpha, beta),
            Similarity::GeneralizedDice(VolumeWeight::InverseSquare) => Member::GeneralizedSquare,
            Similarity::GeneralizedDice(VolumeWeight::Inverse) => Member::GeneralizedSimple,
        };
        problem.missing = match options.missing {
            MissingLabels::AsEmpty => Missing::AsEmpty,
            MissingLabels::Leaf(_) => Missing::Leaf,
            MissingLabels::Marginal(_) => Missing::Marginal,
        };
        if options.missing.rule() == Some(MissingRule::Inferred) {
            problem.infer_missing();
        }
        problem
    }
}

/// Up to 4 samples, 4 classes and 40 voxels; labels or dense; masks, ignored labels, missing maps.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    (1_usize..=4, 1_usize..=4, 1_usize..=40).prop_flat_map(|(b, c, i)| case_of(b, c, i))
}

/// Few voxels, for what looks at every element of an array in turn.
pub(crate) fn small_case() -> impl Strategy<Value = Case> {
    (1_usize..=3, 1_usize..=3, 1_usize..=6).prop_flat_map(|(b, c, i)| case_of(b, c, i))
}

/// 0, 1, or a number between `low` and `high`, each in a third of all draws. `prop_oneof!` would do, but it copies the
/// generator for every element.
fn zero_one_or(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (0.0..3.0_f64).prop_map(move |draw| match draw {
        0.0..1.0 => 0.0,
        1.0..2.0 => 1.0,
        _ => low + (high - low) * (draw - 2.0),
    })
}

pub(crate) fn case_of(b: usize, c: usize, i: usize) -> impl Strategy<Value = Case> {
    // Few classes per batch, so that empty maps are common.
    let label =
        (0..c as i64, prop::bool::weighted(0.1)).prop_map(|(l, ignored)| if ignored { IGNORED } else { l });
    (
        vec(0.0..=1.0_f64, b * c * i),
        vec(label, b * i),
        // Labels one by one, or in runs as in a segmentation.
        prop::sample::select(vec![1, 1, 5, 20]),
        vec(zero_one_or(0.0, 1.0), b * c * i),
        any::<bool>(),
        vec(prop::bool::weighted(0.9), b * i),
        vec(prop::bool::weighted(0.7), b * c),
    )
        .prop_map(move |(p, labels, run, dense, soft, mask, mut annotated)| {
            let labels = (0..labels.len()).map(|k| labels[k - k % run]).collect();
            // The background is never missing.
            (0..b).for_each(|b| annotated[b * c] = true);
            Case { shape: Shape::new(b, c, i).unwrap(), p, labels, dense, soft, mask, annotated }
        })
}

/// What a loss can be told.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) partition: Partition,
    pub(crate) eps: (Vec<f64>, Vec<f64>),
    pub(crate) weights: Vec<f64>,
    pub(crate) normalised: bool,
    pub(crate) missing: MissingLabels,
    pub(crate) similarity: Similarity,
    pub(crate) gamma: f64,
}

impl Options {
    pub(crate) fn phi(&self) -> Phi {
        match self.partition {
            Partition::ImageWise => Phi::I,
            Partition::ClassWise => Phi::CI,
            Partition::BatchWise => Phi::BI,
            Partition::AllWise => Phi::BCI,
        }
    }

    pub(crate) fn loss(&self) -> DiceLoss {
        let epsilon = match self.partition.mixes_classes() {
            true => Epsilon::new(self.eps.0[0], self.eps.1[0]),
            false => Epsilon::per_class_split(&self.eps.0, &self.eps.1),
        };
        let weights = match self.normalised {
            true => ClassWeights::normalised(self.weights.clone()),
            false => ClassWeights::unnormalised(self.weights.clone()),
        };
        let loss = DiceLoss::new(self.partition, epsilon.unwrap()).unwrap();
        let loss =
            loss.with_class_weights(weights.unwrap()).unwrap().with_missing_labels(self.missing).unwrap();
        loss.with_similarity(self.similarity).unwrap().with_focal_exponent(self.gamma).unwrap()
    }
}

pub(crate) fn partition() -> impl Strategy<Value = Partition> {
    prop::sample::select(Partition::ALL.to_vec())
}

/// Every combination that a loss accepts for this many classes.
pub(crate) fn options(classes: usize) -> impl Strategy<Value = Options> {
    let rule = || prop_oneof![Just(MissingRule::Declared), Just(MissingRule::Inferred)];
    let missing = prop_oneof![
        Just(MissingLabels::AsEmpty),
        rule().prop_map(MissingLabels::Leaf),
        rule().prop_map(MissingLabels::Marginal),
    ];
    let eps = || vec(1e-3..5.0_f64, classes);
    (partition(), eps(), eps(), any::<bool>(), vec(zero_one_or(0.1, 3.0), classes), any::<bool>(), missing)
        .prop_map(
            move |(
                partition,
                mut eps_n,
                mut eps_d,
                without_numerator,
                mut weights,
                mut normalised,
                mut missing,
            )| {
                if without_numerator {
                    eps_n.fill(0.0);
                }
                if partition.mixes_classes() {
                    let (n, d) = (eps_n[0], eps_d[0]);
                    eps_n.fill(n);
                    eps_d.fill(d);
                    weights.iter_mut().for_each(|w| *w = if *w == 0.0 { 0.0 } else { 1.0 });
                    normalised = true;
                }
                if classes < 2 && missing.is_marginal() {
                    missing = MissingLabels::AsEmpty;
                }
                if missing.is_marginal() || weights.iter().all(|&w| w == 0.0) {
                    weights[0] = 1.0;
                    if partition.mixes_classes() {
                        weights.iter_mut().for_each(|w| *w = w.ceil());
                    }
                }
                let (similarity, gamma) = (Similarity::Dice, 1.0);
                Options { partition, eps: (eps_n, eps_d), weights, normalised, missing, similarity, gamma }
            },
        )
}

/// As [`options`], with Dice and all its relatives and a focal exponent.
pub(crate) fn family_options(classes: usize) -> impl Strategy<Value = Options> {
    let similarity = prop_oneof![
        Just(Similarity::Dice),
        Just(Similarity::SquaredDice),
        Just(Similarity::Jaccard),
        (0.0..2.0_f64, 0.1..2.0_f64).prop_map(|(alpha, beta)| Similarity::Tversky { alpha, beta }),
        Just(Similarity::GeneralizedDice(VolumeWeight::InverseSquare)),
        Just(Similarity::GeneralizedDice(VolumeWeight::Inverse)),
    ];
    let gamma = prop_oneof![Just(1.0), 1.0..3.0_f64];
    (options(classes), similarity, gamma).prop_map(|(mut options, similarity, gamma)| {
        let mixes = options.partition.mixes_classes();
        options.similarity = match similarity {
            Similarity::GeneralizedDice(_) if !mixes => Similarity::Jaccard,
            Similarity::SquaredDice if options.missing.is_marginal() => Similarity::Dice,
            other => other,
        };
        options.gamma = gamma;
        // ε alike on both sides, so that D stays at or below 1, where 1 − D may be raised to a power.
        options.eps.0 = options.eps.1.clone();
        options
    })
}

pub(crate) fn case_and_options() -> impl Strategy<Value = (Case, Options)> {
    with_options(case())
}

pub(crate) fn with_options(case: impl Strategy<Value = Case>) -> impl Strategy<Value = (Case, Options)> {
    case.prop_flat_map(|case| {
        let classes = case.shape.classes();
        (Just(case), options(classes))
    })
}

/// `|found − expected| ≤ tolerance · max(scale, |expected|)`, for all elements.
pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, scale: f64) {
    assert_eq!(found.len(), expected.len());
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * expected.abs().max(scale), "element {k}: {found} is not {expected}");
    }
}
