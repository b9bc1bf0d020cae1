use dicewise::{DiceLoss, Epsilon, MissingLabels, MissingRule, Partition, explain::Preset};

#[test]
fn names_are_read_back() {
    for partition in Partition::ALL {
        assert_eq!(partition.to_string().parse(), Ok(partition));
    }
    for missing in [
        MissingLabels::AsEmpty,
        MissingLabels::Leaf(MissingRule::Declared),
        MissingLabels::Leaf(MissingRule::Inferred),
        MissingLabels::Marginal(MissingRule::Declared),
        MissingLabels::Marginal(MissingRule::Inferred),
    ] {
        assert_eq!(missing.to_string().parse(), Ok(missing));
    }
    for preset in Preset::ALL {
        assert_eq!(preset.to_string().parse(), Ok(preset));
    }
}

#[test]
fn partitions_have_words_beside_the_papers_symbols() {
    for (name, partition) in [
        ("image", Partition::ImageWise),
        ("class-wise", Partition::ClassWise),
        ("Batch", Partition::BatchWise),
        ("all", Partition::AllWise),
        ("bci", Partition::AllWise),
    ] {
        assert_eq!(name.parse(), Ok(partition));
    }
    let message = "macro".parse::<Partition>().unwrap_err().to_string();
    assert!(message.contains("`macro`") && message.contains("BI (batch)"), "{message}");
}

/// |Φ| as in the paper, and every subset is hit.
#[test]
fn partitions_have_as_many_subsets_as_the_paper_says() {
    for (partition, count) in [
        (Partition::ImageWise, 6),
        (Partition::ClassWise, 2),
        (Partition::BatchWise, 3),
        (Partition::AllWise, 1),
    ] {
        assert_eq!(partition.subsets(2, 3), count);
        let mut seen: Vec<_> = (0..6).map(|map| partition.subset(map / 3, map % 3, 3)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..count).collect::<Vec<_>>());
    }
}

#[test]
fn a_loss_says_what_it_is() {
    let loss = DiceLoss::new(Partition::ImageWise, Epsilon::new(0.0, 1e-7).unwrap()).unwrap();
    assert_eq!(loss.to_string(), "DL_I, ε = 0/1e-7, missing labels: as-empty");
    let per_class = Epsilon::per_class(vec![1.0, 400.0]).unwrap();
    assert_eq!(per_class.to_string(), "[1, 400]");
}
