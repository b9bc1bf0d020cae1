//! `cases.csv`: exact round trips, and errors that say where.

mod scores;

use std::fs;
use std::path::Path;

use dicewise_report::*;
use scores::{experiment, score};

const HEADER: &str = "labelling,setting,batch_size,seed,fold,case,subject,group,label,dsc,volume_difference_ml,\
                      predicted_volume_ml,target_volume_ml";

fn parse(rows: &str) -> Result<Vec<CaseScore>, ReportError> {
    parse_cases(Path::new("cases.csv"), format!("{HEADER}\n{rows}").as_bytes())
}

#[test]
fn scores_survive_the_file_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.csv");
    let mut odd = score("partial", "I, \"quoted\"", 1, "LGG", "Brats18_TCIA,1", 0.1 + 0.2);
    odd.volume_difference_ml = -1.0 / 3.0;
    odd.predicted_volume_ml = 5e-324;
    odd.target_volume_ml = f64::MAX;
    odd.seed = u64::MAX;
    let mut undefined = score("partial", "I", 1, "LGG", "b", 0.0);
    undefined.dsc = None;
    let written = vec![undefined, odd];
    write_cases(&path, &written).unwrap();
    assert_eq!(read_cases(&path).unwrap(), written);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next().unwrap(), HEADER);
    assert!(text.contains("b,b,LGG,whole,,-10,0,10\n"), "{text}");
}

#[test]
fn the_order_of_finished_cells_does_not_change_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one.csv"), folder.path().join("other.csv"));
    let mut scores = experiment();
    write_cases(&one, &scores).unwrap();
    scores.reverse();
    scores.swap(3, 20);
    write_cases(&other, &scores).unwrap();
    assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap());
}

#[test]
fn a_field_that_cannot_be_read_is_named_with_its_line() {
    let good = "full,I,2,0,0,a,a,G1,whole,0.5,0,1,1\n";
    for (row, field, value) in [
        ("full,I,two,0,0,a,a,G1,whole,0.5,0,1,1", "batch_size", "two"),
        ("full,I,0,0,0,a,a,G1,whole,0.5,0,1,1", "batch_size", "0"),
        ("full,I,2,-1,0,a,a,G1,whole,0.5,0,1,1", "seed", "-1"),
        ("full,I,2,0,0,a,a,,whole,0.5,0,1,1", "group", ""),
        ("full,I,2,0,0,a,a,G1,whole,1.5,0,1,1", "dsc", "1.5"),
        ("full,I,2,0,0,a,a,G1,whole,nan,0,1,1", "dsc", "nan"),
        ("full,I,2,0,0,a,a,G1,whole,0.5,inf,1,1", "volume_difference_ml", "inf"),
        ("full,I,2,0,0,a,a,G1,whole,0.5,0,1,", "target_volume_ml", ""),
    ] {
        let error = parse(&format!("{good}{row}\n")).unwrap_err();
        let ReportError::Field { line: 3, field: found, value: shown, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((*found, shown.as_str()), (field, value));
        assert!(error.to_string().starts_with(&format!("cases.csv:3: {field} is `{value}`")), "{error}");
    }
}

#[test]
fn other_tables_cut_lines_and_repeated_scores_are_refused() {
    let error = parse_cases(Path::new("t.csv"), "a,b\n1,2\n".as_bytes()).unwrap_err();
    assert!(matches!(&error, ReportError::Header { found, .. } if found == "a,b"), "{error}");
    let error = parse("full,I,2,0\n").unwrap_err();
    assert_eq!(error.to_string(), "cases.csv:2: 4 fields, expected 13");
    let row = "full,I,2,0,0,a,a,G1,whole,0.5,0,1,1\n";
    let error = parse(&format!("{row}{}{row}", row.replace("whole", "core"))).unwrap_err();
    assert!(matches!(error, ReportError::Duplicate { line: 4, first: 2, .. }), "{error}");
    let error =
        parse_cases(Path::new("t.csv"), [HEADER.as_bytes(), b"\n\xff,"].concat().as_slice()).unwrap_err();
    assert!(matches!(error, ReportError::Record { line: 2, .. }), "{error}");
    let error = read_cases(Path::new("no/such/cases.csv")).unwrap_err();
    assert!(error.to_string().contains("no/such/cases.csv"), "{error}");
}

#[test]
fn scores_that_could_not_be_read_back_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cases.csv");
    fs::write(&path, "before").unwrap();
    let mut bad = score("full", "I", 2, "G1", "a", 0.5);
    bad.predicted_volume_ml = f64::NAN;
    let error = write_cases(&path, &[bad]).unwrap_err();
    assert!(matches!(error, ReportError::Score { field: "predicted_volume_ml", .. }), "{error}");
    let twice = score("full", "I", 2, "G1", "a", 0.5);
    let error = write_cases(&path, &[twice.clone(), twice]).unwrap_err();
    assert!(matches!(error, ReportError::ScoredTwice { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table1.csv");
    // A folder in the way: the rename fails after the temporary file was written.
    fs::create_dir_all(path.join("kept")).unwrap();
    let error = write_atomically(&path, b"new").unwrap_err();
    assert!(error.to_string().contains("table1.csv"), "{error}");
    assert!(path.join("kept").is_dir());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(write_atomically(&folder.path().join("none/t.csv"), b"").is_err());
    assert!(write_atomically(Path::new("/"), b"").is_err());
}
