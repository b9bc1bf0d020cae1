//! "Did you mean": the accepted word that a mistyped one was meant to be.

/// The accepted word nearest to `word` when it is near enough to be a slip: other case, or at most one edit for
/// every three letters (and one for short words).
pub(crate) fn nearest<'a>(word: &str, accepted: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let typed = word.to_lowercase().replace('_', "-");
    accepted
        .into_iter()
        .map(|candidate| (edits(&typed, &candidate.to_lowercase().replace('_', "-")), candidate))
        .filter(|&(edits, candidate)| edits <= (length / 3).max(1) && edits < candidate.chars().count())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// Letters inserted, deleted, replaced, or swapped with their neighbour, to turn `a` into `b`
/// (the optimal string alignment distance).
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut two_above = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_above[j - 2] + 1);
            }
        }
        two_above = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_counts_the_classic_examples() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("ca", "ac"), 1);
        assert_eq!(edits("same", "same"), 0);
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("I_esp", ["I", "BI", "I_eps"]), Some("I_eps"));
        assert_eq!(nearest("ieps", ["I", "BI", "I_eps"]), Some("I_eps"));
        assert_eq!(nearest("Cosine", ["cosine", "plateau"]), Some("cosine"));
        assert_eq!(nearest("prior_bais", ["prior_bias", "preset"]), Some("prior_bias"));
        assert_eq!(nearest("warmup", ["cosine", "plateau"]), None);
        assert_eq!(nearest("x", ["I"]), None);
    }
}
