//! Folds and hold-out splits that keep a subject's cases together.
//!
//! Everything here depends on the cases' names and the seed alone: not on their order, the platform, or the version of
//! a library that shuffles.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::dataset::{Case, CaseFiles};
use crate::mersenne::MersenneTwister;
use crate::seed::shuffle;

/// Something that goes into a fold: a case, known by its name, its subject and its group.
pub trait Member {
    /// Name of the case.
    fn id(&self) -> &str;
    /// Whose case it is.
    fn subject(&self) -> &str;
    /// What folds are stratified by.
    fn group(&self) -> Option<&str>;
}

impl Member for CaseFiles {
    fn id(&self) -> &str {
        &self.id
    }
    fn subject(&self) -> &str {
        &self.subject
    }
    fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }
}

impl Member for Case {
    fn id(&self) -> &str {
        &self.id
    }
    fn subject(&self) -> &str {
        &self.subject
    }
    fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }
}

/// Indices of the cases to train on and of those to keep apart, each ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// To train on.
    pub train: Vec<usize>,
    /// To validate or test on.
    pub test: Vec<usize>,
}

/// Cases that cannot be split as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// Fewer than two folds.
    #[error("{folds} folds; at least 2 are needed, one to train on and one to validate on")]
    TooFewFolds {
        /// Folds asked for.
        folds: usize,
    },
    /// A fold would have no cases.
    #[error(
        "{folds} folds of {subjects} subjects leave a fold without cases; ask for at most {subjects} folds"
    )]
    EmptyFold {
        /// Folds asked for.
        folds: usize,
        /// Subjects there are.
        subjects: usize,
    },
    /// A hold-out split without cases on one side.
    #[error("the {side} side of the hold-out split asks for no cases")]
    EmptySide {
        /// `train` or `test`.
        side: &'static str,
    },
    /// Too few cases in a group.
    #[error(
        "group {group}: {wanted} cases are wanted for {side} and {found} could be had without parting a subject's cases"
    )]
    NotEnough {
        /// `train` or `test`.
        side: &'static str,
        /// The group.
        group: String,
        /// Cases wanted.
        wanted: usize,
        /// Cases found.
        found: usize,
    },
}

/// Splits cases into `folds` parts; split `i` tests on part `i` and trains on the others.
///
/// Subjects are dealt out stratum by stratum, where a stratum is a set of groups that a subject's cases belong to, so
/// that every fold has its share of each. The numbers of subjects in two folds differ by at most one.
pub fn k_folds<M: Member>(cases: &[M], folds: usize, seed: u64) -> Result<Vec<Split>, FoldError> {
    let subjects = subjects(cases);
    if folds < 2 {
        return Err(FoldError::TooFewFolds { folds });
    }
    if subjects.len() < folds {
        return Err(FoldError::EmptyFold { folds, subjects: subjects.len() });
    }
    let mut strata: BTreeMap<Vec<&str>, Vec<&Subject<'_>>> = BTreeMap::new();
    for subject in &subjects {
        strata.entry(subject.groups.keys().copied().collect()).or_default().push(subject);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut fold_of = vec![0; cases.len()];
    let mut next = 0;
    for stratum in strata.values_mut() {
        shuffle(stratum, &mut rng);
        for subject in stratum {
            subject.cases.iter().for_each(|&case| fold_of[case] = next % folds);
            // Going on where the last stratum ended keeps the folds equally large.
            next += 1;
        }
    }
    let split = |fold| {
        let (test, train) = (0..cases.len()).partition(|&case| fold_of[case] == fold);
        Split { train, test }
    };
    Ok((0..folds).map(split).collect())
}

/// How subjects are dealt out to folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dealing {
    /// Shuffled, each fold with its share of each group: [`k_folds`].
    Stratified,
    /// In turn, sorted by name, without chance: fold `(i − 1) mod k` gets subject i. The paper's ACDC runs.
    InTurn,
    /// In blocks of a list sorted by group, then name, and shuffled by `numpy.random.seed(seed)` and
    /// `numpy.random.shuffle`. With seed 0, the folds of the paper's BRATS runs, 57 cases each.
    NumpyShuffle,
}

/// As [`k_folds`], with a choice of how subjects are dealt out. Only the low 32 bits of the seed count for numpy.
///
/// # Errors
/// As [`k_folds`].
pub fn k_folds_dealt<M: Member>(
    cases: &[M],
    folds: usize,
    dealing: Dealing,
    seed: u64,
) -> Result<Vec<Split>, FoldError> {
    let mut subjects = subjects(cases);
    if dealing == Dealing::Stratified || folds < 2 || subjects.len() < folds {
        return k_folds(cases, folds, seed);
    }
    if dealing == Dealing::NumpyShuffle {
        // By name they are already.
        subjects.sort_by(|a, b| a.groups.keys().cmp(b.groups.keys()));
        MersenneTwister::new(seed as u32).shuffle(&mut subjects);
    }
    let mut fold_of = vec![0; cases.len()];
    let count = subjects.len();
    for (place, subject) in subjects.iter().enumerate() {
        let fold = match dealing {
            Dealing::NumpyShuffle => place * folds / count,
            _ => place % folds,
        };
        subject.cases.iter().for_each(|&case| fold_of[case] = fold);
    }
    let split = |fold| {
        let (test, train) = (0..cases.len()).partition(|&case| fold_of[case] == fold);
        Split { train, test }
    };
    Ok((0..folds).map(split).collect())
}

/// How many cases of each group go where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldOut {
    /// Cases a group to train on.
    pub train: BTreeMap<String, usize>,
    /// Cases a group to test on.
    pub test: BTreeMap<String, usize>,
}

/// Draws a hold-out split with exactly the wanted numbers of cases a group; cases left over are in neither side.
///
/// The test side is drawn first, so that more training cases do not change what is tested on. Cases without a group
/// belong to the group `""`.
pub fn hold_out<M: Member>(cases: &[M], wanted: &HoldOut, seed: u64) -> Result<Split, FoldError> {
    let subjects = subjects(cases);
    let mut order: Vec<&Subject<'_>> = subjects.iter().collect();
    shuffle(&mut order, &mut ChaCha8Rng::seed_from_u64(seed));
    let mut sides = [Vec::new(), Vec::new()];
    for (cases, (side, wanted)) in sides.iter_mut().zip([("test", &wanted.test), ("train", &wanted.train)]) {
        if wanted.values().all(|&count| count == 0) {
            return Err(FoldError::EmptySide { side });
        }
        let mut open = wanted.clone();
        order.retain(|subject| {
            let fits = subject.groups.iter().all(|(&group, count)| open.get(group) >= Some(count));
            if fits {
                for (&group, count) in &subject.groups {
                    open.entry(group.into()).and_modify(|left| *left -= count);
                }
                cases.extend_from_slice(&subject.cases);
            }
            !fits
        });
        if let Some((group, left)) = open.into_iter().find(|&(_, left)| left > 0) {
            let wanted = wanted[&group];
            return Err(FoldError::NotEnough { side, group, wanted, found: wanted - left });
        }
        cases.sort_unstable();
    }
    let [test, train] = sides;
    Ok(Split { train, test })
}

/// A subject's cases, and how many of them are in each group.
struct Subject<'a> {
    cases: Vec<usize>,
    groups: BTreeMap<&'a str, usize>,
}

/// All subjects by name, which makes a split independent of the order of the cases.
fn subjects<M: Member>(cases: &[M]) -> Vec<Subject<'_>> {
    let mut subjects: BTreeMap<&str, Subject<'_>> = BTreeMap::new();
    for (index, case) in cases.iter().enumerate() {
        let subject = subjects
            .entry(case.subject())
            .or_insert_with(|| Subject { cases: Vec::new(), groups: BTreeMap::new() });
        subject.cases.push(index);
        *subject.groups.entry(case.group().unwrap_or_default()).or_default() += 1;
    }
    subjects.into_values().collect()
}
