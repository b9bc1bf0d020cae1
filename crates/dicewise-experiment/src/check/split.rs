//! Checks `[split]`.
use toml::Spanned;

use super::dataset::{KnownGroups, counts};
use super::{Checker, Section};
use crate::file::{Counts, SplitTable};
use crate::{Dealing, GroupCount, MistakeKind, Split};

pub(super) fn split(
    checker: &mut Checker<'_>,
    table: &Spanned<SplitTable>,
    known: &KnownGroups,
) -> Option<Split> {
    let section = Section::of("[split]", table);
    let table = table.get_ref();
    let seed = u64::from(table.seed.unwrap_or(0));
    if let Some(folds) = &table.folds {
        let (message, help) =
            ("[split] has both folds and a hold-out", "keep `folds`, or `train` and `test`");
        checker.excluded(table.train.as_ref(), message, help);
        checker.excluded(table.test.as_ref(), message, help);
        return cross_validation(checker, table, folds, seed, known);
    }
    let message = "a hold-out has no folds to choose from";
    checker.excluded(table.run.as_ref(), message, "`run` goes with `folds`; remove it");
    checker.excluded(table.deal.as_ref(), message, "`deal` goes with `folds`; remove it");
    if table.train.is_none() && table.test.is_none() {
        let example = "folds = 5, or train = { G1 = 48, G0 = 16 } and test = { G1 = 20, G0 = 20 }";
        checker.required(None::<&()>, &section, "folds", example);
        return None;
    }
    let train = checker.required(table.train.as_ref(), &section, "train", "train = { G1 = 48, G0 = 16 }");
    let test = checker.required(table.test.as_ref(), &section, "test", "test = { G1 = 20, G0 = 20 }");
    let (train, test) = (train?, test?);
    if known.shared_subjects {
        let message = "subjects with a case in each group cannot be held out group by group";
        checker.excluded(
            Some(train),
            message,
            "use folds = 5, run = [0]: folds keep a subject's cases together",
        );
        return None;
    }
    let train = held_out(checker, train, known, &[]);
    let test = held_out(checker, test, known, train.as_deref().unwrap_or_default());
    Some(Split::HoldOut { seed, train: train?, test: test? })
}

fn cross_validation(
    checker: &mut Checker<'_>,
    table: &SplitTable,
    folds: &Spanned<usize>,
    seed: u64,
    known: &KnownGroups,
) -> Option<Split> {
    let count = checker.whole(folds, "folds", 2..=1000)?;
    if let Some(smallest) = known.subjects.iter().min_by_key(|group| group.count)
        && smallest.count < count
    {
        let message = format!(
            "group {} has {} subjects: with {count} folds some would have none of it",
            smallest.group, smallest.count
        );
        let help = format!("at most {} folds, or more subjects", smallest.count);
        checker.add(MistakeKind::NotEnoughSubjects, folds.span(), message, "too many folds", help);
    }
    let deal = match &table.deal {
        None => Dealing::Stratified,
        Some(word) => checker.one_of(
            word,
            "way of dealing",
            &[
                ("stratified", Dealing::Stratified),
                ("in-turn", Dealing::InTurn),
                ("numpy-shuffle", Dealing::NumpyShuffle),
            ],
        )?,
    };
    let Some(run) = &table.run else {
        return Some(Split::Folds { folds: count, run: (0..count).collect(), seed, deal });
    };
    if run.get_ref().is_empty() {
        let message = "`run` is empty: no fold would be trained".to_owned();
        let help = format!("folds from 0 to {}, or leave `run` out for all of them", count - 1);
        checker.add(MistakeKind::Missing, run.span(), message, "no fold", help);
        return None;
    }
    let distinct = checker.distinct(run.get_ref(), "fold");
    let chosen: Vec<_> = run.get_ref().iter().map(|fold| checker.whole(fold, "run", 0..=count - 1)).collect();
    let run: Option<Vec<usize>> = chosen.into_iter().collect();
    distinct.then_some(Split::Folds { folds: count, run: run?, seed, deal })
}

/// Subjects of each group on one side of a hold-out; `taken` are those on the other side.
fn held_out(
    checker: &mut Checker<'_>,
    side: &Counts,
    known: &KnownGroups,
    taken: &[GroupCount],
) -> Option<Vec<GroupCount>> {
    let checked = counts(checker, side, "subjects")?;
    let mut fits = true;
    let count_of = |list: &[GroupCount], group: &str| list.iter().find(|c| c.group == group).map(|c| c.count);
    for (group, count) in &side.get_ref().0 {
        if !known.check(checker, group) {
            fits = false;
            continue;
        }
        let Some(available) = count_of(&known.subjects, group.get_ref()) else { continue };
        let left = available.saturating_sub(count_of(taken, group.get_ref()).unwrap_or(0));
        if *count.get_ref() > left {
            let message =
                format!("group {} has {left} subjects left, not {}", group.get_ref(), count.get_ref());
            let help = format!("training and test subjects together are at most {available}");
            checker.add(MistakeKind::NotEnoughSubjects, count.span(), message, "too many", help);
            fits = false;
        }
    }
    fits.then_some(checked)
}
