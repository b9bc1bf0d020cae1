use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use dicewise_train::Normalisation;
use dicewise_train::checkpoint::{self, CheckpointError};
use sha2::{Digest, Sha256};

use crate::setup::{network, tracking};

/// JSON and data as a safetensors file whose checksum is right.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
    bytes.extend_from_slice(&Sha256::digest(&bytes));
    bytes
}

#[track_caller]
fn refused(path: &Path) -> String {
    let error = checkpoint::load(path, network(Normalisation::Batch, 1), 0.0, None).unwrap_err();
    let known = matches!(error, CheckpointError::Invalid { .. } | CheckpointError::Damaged { .. });
    assert!(known, "{error:?}");
    error.to_string()
}

#[test]
fn a_file_larger_than_any_checkpoint_of_the_network_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    // Reading a tebibyte of zeros would neither fit nor end.
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(refused(&path).contains("at most"));
    #[cfg(unix)]
    assert!(refused("/dev/zero".as_ref()).contains("at most"), "a file that has no length but does not end");
}

/// What each of these makes of memory is bounded by its own size, a few MiB: the header is at most 1 MiB, and no count
/// or shape in it is allocated for.
#[test]
fn headers_that_promise_too_much_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile");
    let entry = |dtype: &str, shape: &str, end: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let many: Vec<String> =
        (0..20_000).map(|k| format!(r#""{k}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    let metadata = |text: &str| {
        let quoted = serde_json::to_string(text).unwrap();
        format!(r#"{{"__metadata__":{{"dicewise":{quoted}}}}}"#)
    };
    let progress = |iteration: &str, list: &str| {
        metadata(&format!(
            r#"{{"format":2,"adam_step":0,"progress":{{"iteration":{iteration},"schedule":{{"scale":"1","best":null,
               "since_best":0,"since_drop":0}},"best_validation":null,"stopped":false,"config":"",
               "empty_class":{{"predicted":[{list}],"target":[],"samples":0,"iterations":0,"warned":[]}}}}}}"#
        ))
    };
    let headers = [
        entry("F32", "[4611686018427387904]", "16777216"),
        entry("F32", "[18446744073709551615,18446744073709551615]", "32"),
        entry("F32", "[99999999999999999999999]", "32"),
        entry("F32", "[-1]", "32"),
        entry("U8", "[32]", "18446744073709551615"),
        entry("F128", "[2]", "32"),
        entry("U8", &format!("[{}1]", "1,".repeat(200_000)), "32"),
        format!("{{{}}}", many.join(",")),
        " ".repeat(1 << 21),
        "[".repeat(1 << 19),
        format!(r#"{{"a":{}"#, "{\"a\":".repeat(1 << 17)),
        metadata(&"[".repeat(1 << 19)),
        metadata(r#"{"format":2,"adam_step":1e999,"progress":{}}"#),
        progress("-1", ""),
        progress("1e30", ""),
        progress("0", "\"much\""),
        progress("0", "1.0"),
        progress("0", ""),
    ];
    for header in headers {
        fs::write(&path, file(&header, &[])).unwrap();
        refused(&path);
    }
}

/// Weights in a file are numbers. What other formats would execute is refused, not run.
#[test]
fn a_pickle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, trap) = (folder.path().join("pickle"), folder.path().join("executed"));
    // pickle protocol 0: os.system("touch …")
    let pickle = format!("cos\nsystem\n(S'touch {}'\ntR.", trap.display());
    for bytes in [pickle.clone().into_bytes(), file(&pickle, &[])] {
        fs::write(&path, bytes).unwrap();
        refused(&path);
    }
    let metadata = HashMap::from([("dicewise".to_string(), pickle)]);
    let none: [(&str, safetensors::tensor::TensorView); 0] = [];
    fs::write(&path, safetensors::serialize(none, Some(metadata)).unwrap()).unwrap();
    refused(&path);
    assert!(!trap.exists());
}

/// Of the process itself, in KiB: the most memory it has had.
#[cfg(target_os = "linux")]
fn high_water_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// In a process of its own, because others tests' memory would count.
#[cfg(target_os = "linux")]
#[test]
fn the_largest_header_that_is_read_costs_little_memory() {
    use crate::child::{child, in_child};

    let name = "hostile_checkpoints::the_largest_header_that_is_read_costs_little_memory";
    if in_child().is_none() {
        let folder = tempfile::tempdir().unwrap();
        let output = child(name, folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let path = in_child().unwrap().join("hostile");
    let _ = checkpoint::load(&path, network(Normalisation::Batch, 1), 0.0, None);
    let before = high_water_kib();
    // Just below 1 MiB: the shortest entries, and the longest shape.
    let entry = |k: usize| format!(r#""{k}":{{"dtype":"U8","shape":[],"data_offsets":[{k},{}]}}"#, k + 1);
    let many: Vec<String> = (0..16_500).map(entry).collect();
    let shape =
        format!(r#"{{"a":{{"dtype":"U8","shape":[{}1],"data_offsets":[0,1]}}}}"#, "1,".repeat(520_000));
    for header in [format!("{{{}}}", many.join(",")), shape] {
        assert!((1_000_000..1 << 20).contains(&header.len()), "{}", header.len());
        fs::write(&path, file(&header, &vec![0; 16_500])).unwrap();
        refused(&path);
    }
    let _ = tracking();
    let used = high_water_kib() - before;
    assert!(used < 64 << 10, "{used} KiB");
    println!("hostile headers of 1 MiB: {used} KiB above before");
}
