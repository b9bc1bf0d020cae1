use crate::Cases;
use crate::container::{SUM, good};
use crate::header_bytes::{Field, FileBytes, VOXELS, gzip};
use crate::reading::Case;

pub(crate) fn add(cases: &mut Cases) {
    types(cases);
    scales(cases);
    for (name, code, bits) in [
        ("unknown", 0, 16),
        ("binary", 1, 1),
        ("rgb", 128, 24),
        ("rgba", 2304, 32),
        ("complex_64", 32, 64),
        ("complex_128", 1792, 128),
        ("complex_256", 2048, 256),
        ("float_128", 1536, 128),
        ("999", 999, 16),
        ("negative", -4, 16),
    ] {
        let mut file = good().datatype(code, bits);
        file.voxels = vec![0; VOXELS * 32];
        cases.add(&format!("type_{name}.nii"), &file.bytes(), Case::error("UnsupportedType"));
    }
    let floats = |change: fn(&mut [f32])| {
        let mut voxels: Vec<f32> = (0..VOXELS).map(|i| i as f32).collect();
        change(&mut voxels);
        good().datatype(16, 32).stored(voxels.into_iter().map(f32::to_le_bytes)).bytes()
    };
    let unsummed = || Case { sum: None, ..Case::ok(0.0) }.warns("NonFiniteVoxels");
    cases.add("voxel_nan.nii", &floats(|v| v[100] = f32::NAN), unsummed());
    cases.add("voxel_infinite.nii", &floats(|v| v[100] = f32::INFINITY), unsummed());
    let huge = good().datatype(64, 64).stored((0..VOXELS).map(|_| 1e300_f64.to_le_bytes()));
    cases.add("voxel_beyond_f32.nii", &huge.bytes(), Case::error("NonFiniteVoxel"));
}

/// Voxels 0 … 119, 0 … 89: they fit every type.
fn types(cases: &mut Cases) {
    // 119·120/2 + 89·90/2.
    const SUM: f64 = 11_145.0;
    for big_endian in [false, true] {
        let value = |i: usize| (i % 120) as u8;
        let file = |code, bits| FileBytes::nifti1(big_endian).datatype(code, bits);
        let each = (0..VOXELS).map(value);
        for (name, file) in [
            ("u8", file(2, 8).stored(each.clone().map(u8::to_le_bytes))),
            ("i8", file(256, 8).stored(each.clone().map(u8::to_le_bytes))),
            ("i16", file(4, 16).stored(each.clone().map(|v| i16::from(v).to_le_bytes()))),
            ("u16", file(512, 16).stored(each.clone().map(|v| u16::from(v).to_le_bytes()))),
            ("i32", file(8, 32).stored(each.clone().map(|v| i32::from(v).to_le_bytes()))),
            ("u32", file(768, 32).stored(each.clone().map(|v| u32::from(v).to_le_bytes()))),
            ("i64", file(1024, 64).stored(each.clone().map(|v| i64::from(v).to_le_bytes()))),
            ("u64", file(1280, 64).stored(each.clone().map(|v| u64::from(v).to_le_bytes()))),
            ("f32", file(16, 32).stored(each.clone().map(|v| f32::from(v).to_le_bytes()))),
            ("f64", file(64, 64).stored(each.clone().map(|v| f64::from(v).to_le_bytes()))),
        ] {
            let name = format!("type_{name}_{}.nii.gz", if big_endian { "big" } else { "little" });
            cases.add(&name, &gzip(&file.bytes()), Case::ok(SUM));
        }
    }
}

fn scales(cases: &mut Cases) {
    let voxels = VOXELS as f64;
    let nan = f64::NAN;
    for (name, slope, inter, expected) in [
        ("0", 0.0, 7.0, Case::ok(SUM)),
        ("nan", nan, nan, Case::ok(SUM).warns("BadScale")),
        ("nan_only", nan, 5.0, Case::ok(SUM).warns("BadScale")),
        ("infinite", f64::INFINITY, 0.0, Case::error("BadScale")),
        ("minus_infinite", f64::NEG_INFINITY, 0.0, Case::error("BadScale")),
        ("inter_nan", 2.0, nan, Case::error("BadScale")),
        ("inter_infinite", 2.0, f64::INFINITY, Case::error("BadScale")),
        ("2_minus_5", 2.0, -5.0, Case::ok(2.0 * SUM - 5.0 * voxels)),
        ("negative", -1.0, 0.0, Case::ok(-SUM)),
        // 2 · 10³⁸ · 209 is more than single precision holds.
        ("overflows", 2e38, 0.0, Case::error("NonFiniteVoxel")),
    ] {
        let file = good().reals(Field::Slope, &[slope]).reals(Field::Inter, &[inter]);
        cases.add(&format!("slope_{name}.nii"), &file.bytes(), expected);
    }
}
