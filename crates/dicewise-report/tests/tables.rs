//! Table 1 and the ROC table of small experiments whose numbers can be worked out by hand.

mod scores;

use std::fs;

use dicewise_report::*;
use scores::{experiment, score};

fn options() -> Table1Options {
    let mut options = Table1Options::new(0);
    options.order.groups = vec!["G1".into(), "G0".into()];
    options
}

fn find<'a>(
    table: &'a Table1,
    labelling: &str,
    setting: &str,
    batch_size: usize,
    group: &str,
) -> &'a Table1Row {
    let cell = Cell { labelling: labelling.into(), setting: setting.into(), batch_size };
    table.rows().iter().find(|row| row.cell == cell && row.group == group).unwrap()
}

#[test]
fn emptied_cells_are_marked_and_the_others_are_not() {
    let table = Table1::new(&experiment(), options()).unwrap();
    let low: Vec<_> = table.rows().iter().filter(|row| row.is_unexpectedly_low()).collect();
    assert_eq!(low.len(), 1);
    assert_eq!((low[0].cell.to_string(), low[0].group.as_str()), ("partial BI B=2".into(), "G0"));
    // Significant, but only 0.004 below: not low.
    let slight = find(&table, "partial", "I", 2, "G0");
    assert!(slight.comparison.as_ref().unwrap().p_value < 0.05);
}

#[test]
fn means_are_over_cases_and_seeds_of_a_case_count_once() {
    // Case a with two seeds: (0.6 + 0.8)/2 = 0.7; case b with one: 0.9. Mean 0.8, not (0.6 + 0.8 + 0.9)/3.
    let mut scores = vec![score("full", "I", 2, "G1", "a", 0.6), score("full", "I", 2, "G1", "b", 0.9)];
    scores.push(CaseScore { seed: 1, ..score("full", "I", 2, "G1", "a", 0.8) });
    let table = Table1::new(&scores, options()).unwrap();
    let row = &table.rows()[0];
    assert_eq!(row.n, 2);
    assert!((row.dsc_mean.unwrap() - 0.8).abs() < 1e-12);
    assert!((row.volume_difference_ml_mean + 2.0).abs() < 1e-12);
}

#[test]
fn scores_are_paired_by_seed_fold_and_case() {
    // Seed 1 of case a has no partner; the pair of case c has no defined DSC. Left are a: −0.2 and b: −0.4.
    let mut scores = vec![
        score("full", "I", 2, "G1", "a", 0.8),
        CaseScore { seed: 1, ..score("full", "I", 2, "G1", "a", 0.1) },
        score("full", "I", 2, "G1", "b", 0.8),
        score("full", "I", 2, "G1", "c", 0.8),
    ];
    scores.push(score("partial", "I", 2, "G1", "a", 0.6));
    scores.push(score("partial", "I", 2, "G1", "b", 0.4));
    scores.push(CaseScore { dsc: None, ..score("partial", "I", 2, "G1", "c", 0.0) });
    let table = Table1::new(&scores, options()).unwrap();
    let row = find(&table, "partial", "I", 2, "G1");
    let comparison = row.comparison.as_ref().unwrap();
    assert_eq!((comparison.n, row.n, row.dsc_of_cases.len()), (2, 3, 2));
    assert!((comparison.mean_difference + 0.3).abs() < 1e-12);
    // Centred differences ±0.1: no mean of two reaches 0.3, so p = 1 / (1 + 100,000).
    assert_eq!(comparison.p_value, 1.0 / 100_001.0);
}

#[test]
fn cases_of_one_subject_are_one_draw_of_the_bootstrap() {
    let mut scores = Vec::new();
    for (case, subject) in [("a1", "a"), ("a2", "a"), ("b1", "b")] {
        for labelling in ["full", "partial"] {
            scores.push(CaseScore { subject: subject.into(), ..score(labelling, "I", 2, "G1", case, 0.5) });
        }
    }
    let table = Table1::new(&scores, options()).unwrap();
    let row = find(&table, "partial", "I", 2, "G1");
    assert_eq!((row.n, row.comparison.as_ref().unwrap().n), (3, 2));
    // Equal scores everywhere.
    assert_eq!(row.comparison.as_ref().unwrap().p_value, 1.0);
}

#[test]
fn the_reference_is_the_same_setting_then_the_nearest_batch_size_then_full_i() {
    let mut scores = experiment();
    for case in ["case_000", "case_001"] {
        scores.push(score("partial", "I", 3, "G1", case, 0.8));
        scores.push(score("partial", "I", 8, "G1", case, 0.8));
        scores.push(score("partial", "marginal", 4, "G1", case, 0.8));
    }
    let table = Table1::new(&scores, options()).unwrap();
    let reference = |setting, b| {
        find(&table, "partial", setting, b, "G1").comparison.as_ref().unwrap().reference.to_string()
    };
    assert_eq!(reference("BI", 2), "full BI B=2");
    assert_eq!(reference("I", 2), "full I B=2");
    assert_eq!(reference("I", 8), "full I B=4");
    // Equally near to 2 and 4: the smaller.
    assert_eq!(reference("I", 3), "full I B=2");
    assert_eq!(reference("leaf", 2), "full I B=2");
    assert_eq!(reference("marginal", 4), "full I B=4");
    assert!(table.rows().iter().filter(|r| r.cell.labelling == "full").all(|r| r.comparison.is_none()));
}

#[test]
fn table1_csv_has_the_agreed_columns_and_empty_fields_where_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table1.csv");
    let scores = [
        score("full", "BI", 2, "G1", "a", 0.5),
        score("full", "I", 10, "G1", "a", 0.5),
        CaseScore { dsc: None, ..score("full", "I", 2, "G1", "a", 0.5) },
        score("partial", "I", 2, "G1", "a", 0.25),
    ];
    Table1::new(&scores, options()).unwrap().write_csv(&path).unwrap();
    let expected = "labelling,setting,batch_size,group,label,n,dsc_mean,volume_difference_ml_mean,p_value_vs_full\n\
                    full,I,2,G1,whole,1,,-5,\n\
                    full,I,10,G1,whole,1,0.5,-5,\n\
                    full,BI,2,G1,whole,1,0.5,-5,\n\
                    partial,I,2,G1,whole,1,0.25,-7.5,\n";
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn markdown_is_the_papers_arrangement() {
    let markdown = Table1::new(&experiment(), options()).unwrap().to_markdown();
    let mut lines = markdown.lines();
    assert_eq!(lines.next().unwrap(), "**Label whole, cases: G1 n = 6, G0 n = 6**");
    lines.next();
    let header = lines.next().unwrap();
    assert!(
        header.starts_with("| labels | B | DSC G1<br>I | DSC G1<br>BI | DSC G1<br>leaf | DSC G0<br>I |"),
        "{header}"
    );
    let columns = header.matches('|').count();
    let table: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(table.iter().all(|line| line.matches('|').count() == columns), "{markdown}");
    // Mean of 0.85 … 0.90 = 0.875.
    assert!(table[1].starts_with("| full | 2 | 0.875 | 0.873 | – | 0.875 |"), "{}", table[1]);
    assert!(table[2].starts_with("| full | 4 | 0.876 | – | – |"), "{}", table[2]);
    // Group G0 under partial BI: (0.11 + 0.12 + 0.13 + 0.14 + 0.10 + 0.11) / 6 = 0.118.
    assert!(
        table[3].starts_with("| partial | 2 | 0.871 | 0.865 | 0.872 | 0.871 | **▼ 0.118** | 0.872 |"),
        "{}",
        table[3]
    );
    assert!(markdown.contains("partial leaf B=2 → full I B=2"), "{markdown}");
    assert!(markdown.contains("– not run."), "{markdown}");
    assert!(!markdown.contains("−0.00"), "{markdown}");
}

#[test]
fn names_from_data_do_not_break_the_markdown_table() {
    let scores = [score("a|b", "I_ε", 2, "<b>*", "c", 0.5)];
    let markdown = Table1::new(&scores, options()).unwrap().to_markdown();
    assert!(markdown.contains(r"| a\|b | 2 |") && markdown.contains(r"DSC \<b>\*<br>I\_ε"), "{markdown}");
}

#[test]
fn cells_scored_on_fewer_cases_say_so() {
    let mut scores = experiment();
    scores.retain(|s| !(s.labelling == "full" && s.batch_size == 4 && s.case == "case_000"));
    let markdown = Table1::new(&scores, options()).unwrap().to_markdown();
    // Without 0.851: mean of 0.861 … 0.901 = 0.881.
    assert!(markdown.contains("| full | 4 | 0.881 (5) |"), "{markdown}");
    assert!(markdown.contains("(n) mean over n cases only"), "{markdown}");
}

#[test]
fn terminal_lines_are_aligned_cut_to_the_width_and_plain_on_demand() {
    let table = Table1::new(&experiment(), options()).unwrap();
    let plain = table.to_terminal(TerminalStyle { colour: false, width: None });
    assert!(!plain.contains('\x1b') && plain.contains("▼ 0.118"), "{plain}");
    let tabular = |text: &str| -> Vec<usize> {
        let lines =
            text.lines().filter(|l| l.starts_with("full") || l.starts_with("partial") || l.starts_with('─'));
        lines.map(|l| l.chars().count()).collect()
    };
    assert_eq!(tabular(&plain).len(), 4);
    assert!(tabular(&plain).windows(2).all(|w| w[0] == w[1]), "{plain}");
    let narrow = table.to_terminal(TerminalStyle { colour: false, width: Some(80) });
    assert_eq!(tabular(&narrow).len(), 8);
    assert!(tabular(&narrow).iter().all(|&width| width <= 80), "{narrow}");
    let coloured = table.to_terminal(TerminalStyle { colour: true, width: None });
    assert!(coloured.contains("\x1b[1;33m▼ 0.118\x1b[0m"), "{coloured}");
}

#[test]
fn auc_is_of_each_seed_and_averaged_over_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("roc.csv");
    let mut scores = Vec::new();
    // Seed 0 separates the groups by predicted volume (AUC 1); seed 1 has volumes 5, 1 against 3, 1:
    // of four pairs 5 > 3, 5 > 1, 1 < 3, 1 = 1, so 2.5/4. Pooled over seeds it would be another number.
    for (seed, positives, negatives) in [(0, [8.0, 9.0], [1.0, 2.0]), (1, [5.0, 1.0], [3.0, 1.0])] {
        for (group, volumes) in [("G1", positives), ("G0", negatives)] {
            for (i, volume) in volumes.into_iter().enumerate() {
                let case = format!("{group}_{i}");
                let base = score("partial", "BI", 2, group, &case, 0.5);
                scores.push(CaseScore { seed, predicted_volume_ml: volume, ..base });
            }
        }
    }
    scores.push(score("full", "I", 2, "G1", "only one group", 0.5));
    let rows = roc_table(&scores, "G1", &CellOrder::default()).unwrap();
    write_roc(&path, &rows).unwrap();
    let expected = "labelling,setting,batch_size,label,positive_group,auc\n\
                    full,I,2,whole,G1,\n\
                    partial,BI,2,whole,G1,0.8125\n";
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
    let error = roc_table(&scores, "HGG", &CellOrder::default()).unwrap_err();
    assert!(matches!(error, ReportError::UnknownGroup { .. }), "{error}");
}
