use std::io::Write;

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use crate::Cases;
use crate::header_bytes::{Field, FileBytes, gzip};
use crate::reading::Case;

/// 0 + 1 + … + 209.
pub(crate) const SUM: f64 = 21_945.0;

pub(crate) fn good() -> FileBytes {
    FileBytes::nifti1(false)
}

pub(crate) fn add(cases: &mut Cases) {
    let plain = good().bytes();
    let packed = gzip(&plain);
    let end = packed.len();
    let flipped = |at: usize| {
        let mut bytes = packed.clone();
        bytes[at] ^= 1;
        bytes
    };
    let ok = || Case::ok(SUM);
    cases.add("good.nii", &plain, Case { first: Some(0.0), affine_det_sign: Some(1.0), ..ok() });
    cases.add("good.nii.gz", &packed, ok());
    cases.add("members.nii.gz", &[gzip(&plain[..400]), gzip(&plain[400..])].concat(), ok());
    cases.add("padding.nii.gz", &[&packed[..], &[0; 512]].concat(), ok());
    cases.add("named.nii.gz", &GzBuilder::new().filename("a").comment("b").write_all_of(&plain), ok());
    cases.add("garbage_after.nii.gz", &[&packed[..], b"GARBAGE"].concat(), ok().warns("TrailingData"));
    let longer = [&plain[..], &[7; 100]].concat();
    cases.add("more_inside.nii.gz", &gzip(&longer), ok().warns("TrailingData"));
    cases.add("more_after.nii", &longer, ok().warns("TrailingData"));
    cases.add("plain.nii.gz", &plain, ok().warns("NameMismatch"));
    cases.add("packed.nii", &packed, ok().warns("NameMismatch"));

    for (name, bytes, kind) in [
        ("cut_header.nii.gz", gzip(&plain[..200]), "Truncated"),
        ("cut_in_header.nii.gz", packed[..40].to_vec(), "Truncated"),
        ("cut_in_voxels.nii.gz", packed[..end * 3 / 4].to_vec(), "Truncated"),
        ("cut_trailer.nii.gz", packed[..end - 8].to_vec(), "Truncated"),
        ("cut_last_byte.nii.gz", packed[..end - 1].to_vec(), "Truncated"),
        (
            "cut_second_member.nii.gz",
            [gzip(&plain[..400]), gzip(&plain[400..])[..30].to_vec()].concat(),
            "Truncated",
        ),
        ("crc.nii.gz", flipped(end - 8), "Corrupt"),
        ("length.nii.gz", flipped(end - 1), "Corrupt"),
        ("method.nii.gz", flipped(2), "Corrupt"),
        ("reserved_flag.nii.gz", [&packed[..3], &[0x80], &packed[4..]].concat(), "Corrupt"),
        ("empty.nii", vec![], "Truncated"),
        ("empty.nii.gz", vec![], "Truncated"),
        ("one_byte.nii.gz", vec![0x1f], "Truncated"),
        ("magic_only.nii.gz", vec![0x1f, 0x8b], "Truncated"),
        ("nothing_inside.nii.gz", gzip(&[]), "Truncated"),
        ("gzip_inside.nii.gz", gzip(&packed), "NotNifti"),
    ] {
        cases.add(name, &bytes, Case::error(kind));
    }
    large(cases);
    bombs(cases);
}

trait WriteAllOf {
    fn write_all_of(self, bytes: &[u8]) -> Vec<u8>;
}

impl WriteAllOf for GzBuilder {
    fn write_all_of(self, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = self.write(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
}

/// 2 MiB of voxels: a reader that stops at the last voxel never reaches the checksum.
fn large(cases: &mut Cases) {
    let shape = [96, 96, 120];
    let mut file = good().integers(Field::Dim, &[3, shape[0], shape[1], shape[2]]);
    let voxels: Vec<u16> =
        (0..96 * 96 * 120_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as u16).collect();
    let sum = voxels.iter().map(|&v| f64::from(v)).sum();
    file.voxels = voxels.iter().flat_map(|v| v.to_le_bytes()).collect();
    let plain = file.bytes();
    let packed = gzip(&plain);
    // Not compressed, so that a flipped bit of a voxel changes nothing but the voxel.
    let mut stored = GzEncoder::new(Vec::new(), Compression::none());
    stored.write_all(&plain).unwrap();
    let mut stored = stored.finish().unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 0x40;
    let mut crc = packed.clone();
    let at = crc.len() - 8;
    crc[at] ^= 0xff;
    cases.add("large.nii.gz", &packed, Case::ok(sum).shape(&[96, 96, 120]));
    cases.add("large_flipped_voxel.nii.gz", &stored, Case::error("Corrupt"));
    cases.add("large_crc.nii.gz", &crc, Case::error("Corrupt"));
    cases.add("large_cut.nii.gz", &packed[..packed.len() / 2], Case::error("Truncated"));
    cases.add("large_cut_trailer.nii.gz", &packed[..packed.len() - 8], Case::error("Truncated"));
}

/// Small files that grow when they are unpacked.
fn bombs(cases: &mut Cases) {
    let grown = |head: &[u8], mebibytes: usize| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(head).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..mebibytes).for_each(|_| encoder.write_all(&zeros).unwrap());
        encoder.finish().unwrap()
    };
    let mut head = good().integers(Field::Dim, &[3, 1024, 1024, 1536]).datatype(2, 8);
    head.voxels.clear();
    cases.add("bomb_of_voxels.nii.gz", &grown(&head.bytes(), 1536), Case::error("TooLarge"));
    let after = Case::ok(SUM).warns("TrailingData");
    cases.add("bomb_after_the_voxels.nii.gz", &grown(&good().bytes(), 512), after);
    let mut head = good().vox_offset(300_000_000);
    head.gap[0] = 1;
    head.voxels.clear();
    cases.add("bomb_of_extensions.nii.gz", &grown(&head.bytes(), 300), Case::error("BadExtension"));
    // 16 MiB of 64-bit voxels whose labels take a quarter of that.
    let mut head = good().integers(Field::Dim, &[3, 128, 128, 128]).datatype(1024, 64);
    head.voxels.clear();
    let zeros = Case::ok(0.0).shape(&[128, 128, 128]);
    cases.add("long_zeros.nii.gz", &grown(&head.bytes(), 16), zeros);
}
