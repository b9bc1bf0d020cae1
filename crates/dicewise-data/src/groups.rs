//! Groups for data that have none.

use std::collections::{BTreeMap, BTreeSet};

use crate::seed::{Purpose, shuffle, stream};

/// There are not enough subjects for the groups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("groups ask for {wanted} subjects and the dataset has {found}; ask for fewer")]
pub struct TooFewSubjects {
    /// Subjects asked for.
    pub wanted: usize,
    /// Subjects there are.
    pub found: usize,
}

/// Deals subjects out to groups: sorted by name, shuffled with the seed, then dealt in the order of `counts`.
///
/// Subjects beyond the counts are in no group. The result depends on names and seed alone.
///
/// # Errors
/// [`TooFewSubjects`].
pub fn deal_groups<'a>(
    subjects: impl IntoIterator<Item = &'a str>,
    counts: &[(String, usize)],
    seed: u64,
) -> Result<BTreeMap<String, String>, TooFewSubjects> {
    let subjects: BTreeSet<&str> = subjects.into_iter().collect();
    let mut subjects: Vec<&str> = subjects.into_iter().collect();
    let wanted = counts.iter().map(|(_, count)| count).sum();
    if wanted > subjects.len() {
        return Err(TooFewSubjects { wanted, found: subjects.len() });
    }
    shuffle(&mut subjects, &mut stream(Purpose::Grouping, seed, 0, 0));
    let groups = counts.iter().flat_map(|(group, count)| std::iter::repeat_n(group, *count));
    Ok(subjects.into_iter().zip(groups).map(|(subject, group)| (subject.into(), group.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(subjects: &[&str], seed: u64) -> BTreeMap<String, String> {
        deal_groups(subjects.iter().copied(), &[("A".into(), 2), ("B".into(), 1)], seed).unwrap()
    }

    #[test]
    fn groups_have_the_sizes_asked_for_whatever_the_order_of_the_subjects() {
        let dealt = deal(&["s1", "s2", "s3", "s4"], 5);
        let count = |group: &str| dealt.values().filter(|g| *g == group).count();
        assert_eq!((dealt.len(), count("A"), count("B")), (3, 2, 1));
        assert_eq!(deal(&["s4", "s3", "s1", "s2", "s1"], 5), dealt);
        assert!((0..9).any(|seed| deal(&["s1", "s2", "s3", "s4"], seed) != dealt));
    }

    #[test]
    fn too_few_subjects_are_refused() {
        let refused = deal_groups(["s1"], &[("A".into(), 2)], 0);
        assert_eq!(refused, Err(TooFewSubjects { wanted: 2, found: 1 }));
    }
}
