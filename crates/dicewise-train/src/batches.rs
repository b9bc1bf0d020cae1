//! Which cases share a batch.
use dicewise_data::seed::{Purpose, shuffle, stream};

/// How the cases of an epoch are put into batches. Which of them share one decides what batch-wise Dice learns: a map
/// without ground truth is taken for empty only where another case of its batch has the class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Batches {
    /// As they come in a random order.
    #[default]
    Shuffled,
    /// Each batch with its share of every stratum, so that cases of a class are spread over as many batches as they can
    /// be. The stratum of each case; cases of one stratum have the same classes.
    Stratified(Vec<usize>),
    /// Batches of one stratum only. The stratum of each case.
    Separated(Vec<usize>),
}

impl Batches {
    /// Samples of an epoch of so many cases: with strata, filled up with repeated cases so that batches stay whole.
    pub fn epoch(&self, cases: usize, batch_size: usize) -> usize {
        match self {
            Self::Shuffled => cases,
            Self::Stratified(_) => cases.next_multiple_of(batch_size),
            Self::Separated(strata) => {
                members(strata).iter().map(|members| members.len().next_multiple_of(batch_size)).sum()
            }
        }
    }

    /// The cases of an epoch in the order in which they are drawn: a function of seed and epoch alone.
    pub(crate) fn order(&self, cases: usize, batch_size: usize, seed: u64, epoch: u64) -> Vec<usize> {
        let mut rng = stream(Purpose::Shuffling, seed, 0, epoch);
        match self {
            Self::Shuffled => {
                let mut order: Vec<usize> = (0..cases).collect();
                shuffle(&mut order, &mut rng);
                order
            }
            Self::Stratified(strata) => {
                let mut order: Vec<usize> = (0..cases).collect();
                shuffle(&mut order, &mut rng);
                order = filled_up(order, batch_size);
                // Dealt like cards, one stratum after the other.
                order.sort_by_key(|&case| strata[case]);
                let batches = order.len() / batch_size;
                let mut dealt = vec![Vec::with_capacity(batch_size); batches];
                order.iter().enumerate().for_each(|(place, &case)| dealt[place % batches].push(case));
                shuffle(&mut dealt, &mut rng);
                dealt.concat()
            }
            Self::Separated(strata) => {
                let mut batches = Vec::new();
                for mut members in members(strata) {
                    shuffle(&mut members, &mut rng);
                    batches.extend(filled_up(members, batch_size).chunks(batch_size).map(<[usize]>::to_vec));
                }
                shuffle(&mut batches, &mut rng);
                batches.concat()
            }
        }
    }
}

/// The cases of each stratum.
fn members(strata: &[usize]) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); strata.iter().max().map_or(0, |last| last + 1)];
    strata.iter().enumerate().for_each(|(case, &stratum)| members[stratum].push(case));
    members
}

/// Repeats cases from the start until batches are whole.
fn filled_up(cases: Vec<usize>, batch_size: usize) -> Vec<usize> {
    let length = cases.len().next_multiple_of(batch_size);
    cases.iter().copied().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 13 cases, every fourth without the class.
    fn strata() -> Vec<usize> {
        (0..13).map(|case| usize::from(case % 4 == 3)).collect()
    }

    fn counts(order: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; 13];
        order.iter().for_each(|&case| counts[case] += 1);
        counts
    }

    #[test]
    fn every_case_is_drawn_in_every_epoch_and_batches_are_whole() {
        for batches in [Batches::Shuffled, Batches::Stratified(strata()), Batches::Separated(strata())] {
            for batch_size in [1, 2, 3, 4, 8, 20] {
                let orders: Vec<_> = (0..5).map(|epoch| batches.order(13, batch_size, 7, epoch)).collect();
                for order in &orders {
                    assert_eq!(order.len(), batches.epoch(13, batch_size));
                    assert!(counts(order).iter().all(|&n| n >= 1), "{batches:?} {batch_size} {order:?}");
                    if batches != Batches::Shuffled {
                        assert_eq!(order.len() % batch_size, 0);
                    }
                }
                assert_ne!(orders[0], orders[1], "{batches:?} {batch_size}");
            }
        }
    }

    #[test]
    fn strata_are_spread_over_batches_or_kept_apart() {
        let strata = strata();
        let without = |batch: &[usize]| batch.iter().filter(|&&case| strata[case] == 1).count();
        for epoch in 0..50 {
            // As evenly as they go into four batches, whichever cases are repeated.
            let order = Batches::Stratified(strata.clone()).order(13, 4, 3, epoch);
            let share = without(&order) / 4;
            assert!(order.chunks(4).all(|batch| [share, share + 1].contains(&without(batch))), "{order:?}");
            let order = Batches::Separated(strata.clone()).order(13, 4, 3, epoch);
            assert!(order.chunks(4).all(|batch| [0, 4].contains(&without(batch))), "{order:?}");
        }
    }
}
