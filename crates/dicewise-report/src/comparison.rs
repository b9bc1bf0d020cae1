//! Two cells on the same subjects, score by score: is there a difference, and how large is it?

use std::collections::BTreeMap;
use std::fmt;

use dicewise_eval::{
    BetterRank, Effect, EffectSize, PairedDifferences, Ranks, Resampling, effect_size, paired_bootstrap,
    rank_test, sign_flip_test,
};

use crate::table1::mean;
use crate::{CaseScore, ReportError};

/// Confidence level of the interval of a mean difference.
const LEVEL: f64 = 0.95;

/// The number of a [`CaseScore`] that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// DSC; larger is better.
    Dsc,
    /// |ΔV|, the absolute volume difference in ml; smaller is better. (The paper ranks by it: over- and
    /// underestimates of two subjects must not cancel.)
    AbsoluteVolumeDifference,
}

impl Measure {
    /// The value of a score; none where it is not defined.
    pub fn of(self, score: &CaseScore) -> Option<f64> {
        match self {
            Self::Dsc => score.dsc,
            Self::AbsoluteVolumeDifference => Some(score.volume_difference_ml.abs()),
        }
    }

    fn better(self) -> BetterRank {
        match self {
            Self::Dsc => BetterRank::Largest,
            Self::AbsoluteVolumeDifference => BetterRank::Smallest,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Dsc => "DSC",
            Self::AbsoluteVolumeDifference => "|ΔV| ml",
        })
    }
}

/// One measure of one label in one group, of two cells, on the subjects that both scored.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedComparison {
    /// Scored structure.
    pub label: String,
    /// Group of cases.
    pub group: String,
    /// What is compared.
    pub measure: Measure,
    /// Subjects with a value on both sides.
    pub n: usize,
    /// Mean over these subjects, of the left and of the right cell.
    pub means: [f64; 2],
    /// Mean of left − right with its 95 % bootstrap interval, and the tests; none with a single subject.
    pub tests: Option<Tests>,
}

/// What the differences of at least two subjects say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tests {
    /// Mean of left − right, with its percentile bootstrap interval.
    pub mean_difference: EffectSize,
    /// Mean over standard deviation of left − right (Cohen's d_z), with its interval; none where all differences agree.
    pub standardised: Option<EffectSize>,
    /// Two-sided p of the [paired bootstrap](paired_bootstrap).
    pub bootstrap_p: f64,
    /// Two-sided p of the [sign-flip test](sign_flip_test).
    pub sign_flip_p: f64,
    /// p of the [rank test](rank_test) that the paper's authors released; blind to the size of a difference.
    pub released_rank_p: f64,
}

/// Scores of one cell, group and label by case, then by seed and fold.
pub(crate) type ByCase<'a> = BTreeMap<&'a str, BTreeMap<(u64, usize), &'a CaseScore>>;

/// Compares two cells on every label and group that both scored, DSC first, then |ΔV|.
///
/// Scores are paired by case and averaged per case, then per subject: several seeds or cases of one subject are not
/// independent, so a subject counts once. Runs of a case (seed and fold) that both sides have are paired; where they
/// have none in common, as with two networks applied to the same new images, all runs of either side are averaged.
///
/// # Errors
/// [`ReportError::Score`] and [`ReportError::ScoredTwice`] as for [`crate::Table1`], which also means: each side holds
/// the scores of one cell only. [`ReportError::NothingToCompare`] where no subject has a value on both sides.
pub fn compare_cells(
    left: &[CaseScore],
    right: &[CaseScore],
    resampling: Resampling,
) -> Result<Vec<PairedComparison>, ReportError> {
    let (left, right) = (strata(left)?, strata(right)?);
    let mut comparisons = Vec::new();
    for ((label, group), cases) in &left {
        let Some(others) = right.get(&(*label, *group)) else { continue };
        for measure in [Measure::Dsc, Measure::AbsoluteVolumeDifference] {
            let (a, b): (Vec<f64>, Vec<f64>) = pair_subjects(cases, others, measure).into_values().unzip();
            let (Some(left), Some(right)) = (mean(a.iter().copied()), mean(b.iter().copied())) else {
                continue;
            };
            comparisons.push(PairedComparison {
                label: (*label).to_owned(),
                group: (*group).to_owned(),
                measure,
                n: a.len(),
                means: [left, right],
                tests: Tests::of(&a, &b, measure.better(), resampling),
            });
        }
    }
    if comparisons.is_empty() { Err(ReportError::NothingToCompare) } else { Ok(comparisons) }
}

impl Tests {
    /// None with fewer than two subjects; scores are finite, so nothing else can be refused.
    fn of(left: &[f64], right: &[f64], better: BetterRank, resampling: Resampling) -> Option<Self> {
        let differences = PairedDifferences::new(left, right).ok()?;
        let values: Vec<_> = left.iter().zip(right).map(|(l, r)| vec![Some(*l), Some(*r)]).collect();
        let ranks = Ranks::new(&values, better).ok()?;
        Some(Self {
            mean_difference: effect_size(&differences, Effect::MeanDifference, LEVEL, resampling).ok()?,
            standardised: effect_size(&differences, Effect::CohensDz, LEVEL, resampling).ok(),
            bootstrap_p: paired_bootstrap(&differences, resampling).p_value,
            sign_flip_p: sign_flip_test(&differences, resampling).p_value,
            released_rank_p: rank_test(&ranks, 0, 1, resampling).ok()?.p_value,
        })
    }
}

/// Scores by label and group.
fn strata(scores: &[CaseScore]) -> Result<BTreeMap<(&str, &str), ByCase<'_>>, ReportError> {
    let mut strata: BTreeMap<(&str, &str), ByCase> = BTreeMap::new();
    for score in scores {
        score.check()?;
        let by_case = strata.entry((&score.label, &score.group)).or_default();
        if by_case.entry(&score.case).or_default().insert((score.seed, score.fold), score).is_some() {
            return Err(ReportError::ScoredTwice { score: score.describe() });
        }
    }
    Ok(strata)
}

/// The values of the two sides by subject.
pub(crate) fn pair_subjects<'a>(
    left: &ByCase<'a>,
    right: &ByCase<'a>,
    measure: Measure,
) -> BTreeMap<&'a str, (f64, f64)> {
    let mut by_subject: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for (case, runs) in left {
        let Some(others) = right.get(case) else { continue };
        if let (Some(pair), Some(score)) = (pair_runs(runs, others, measure), runs.values().next()) {
            by_subject.entry(&score.subject).or_default().push(pair);
        }
    }
    by_subject.into_iter().filter_map(|(subject, pairs)| Some((subject, mean_pair(&pairs)?))).collect()
}

type Runs<'a> = BTreeMap<(u64, usize), &'a CaseScore>;

fn pair_runs(left: &Runs, right: &Runs, measure: Measure) -> Option<(f64, f64)> {
    let shared: Vec<_> = left.iter().filter_map(|(run, score)| Some((*score, *right.get(run)?))).collect();
    if shared.is_empty() {
        let side = |runs: &Runs| mean(runs.values().filter_map(|score| measure.of(score)));
        return side(left).zip(side(right));
    }
    let pairs: Vec<_> = shared.into_iter().filter_map(|(l, r)| measure.of(l).zip(measure.of(r))).collect();
    mean_pair(&pairs)
}

fn mean_pair(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    mean(pairs.iter().map(|p| p.0)).zip(mean(pairs.iter().map(|p| p.1)))
}
