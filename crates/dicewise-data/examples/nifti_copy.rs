//! Reads a NIfTI file and writes its voxels to another, for tests that have another program at both ends:
//!
//! ```text
//! cargo run --release -p dicewise-data --example nifti_copy -- IN OUT u8|i16|u16|f32|labels
//! ```
//!
//! Prints where the affine came from and what was odd.
use std::error::Error;
use std::process::ExitCode;

use dicewise_data::nifti::{self, Reader, Voxel};
use dicewise_data::{Image, Volume};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [from, to, kind] => copy(from, to, kind),
        _ => Err("usage: nifti_copy IN OUT u8|i16|u16|f32|labels".into()),
    };
    match done {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn copy(from: &str, to: &str, kind: &str) -> Result<String, Box<dyn Error>> {
    if kind == "labels" {
        let read = Reader::default().labels(from)?;
        nifti::write(to, &read.value)?;
        return Ok(format!("{:?} {:?}", read.orientation, read.warnings));
    }
    let read = Reader::default().image(from)?;
    match kind {
        "u8" => nifti::write(to, &whole(&read.value, |v| v as u8, f32::from)?)?,
        "i16" => nifti::write(to, &whole(&read.value, |v| v as i16, f32::from)?)?,
        "u16" => nifti::write(to, &whole(&read.value, |v| v as u16, f32::from)?)?,
        "f32" => nifti::write(to, &read.value)?,
        _ => return Err(format!("{kind} is none of u8, i16, u16, f32, labels").into()),
    }
    Ok(format!("{:?} {:?}", read.orientation, read.warnings))
}

/// The image in a type that holds all of its voxels exactly.
fn whole<T: Voxel>(image: &Image, to: fn(f32) -> T, back: fn(T) -> f32) -> Result<Volume<T>, Box<dyn Error>> {
    match image.data.iter().find(|&&voxel| back(to(voxel)) != voxel) {
        Some(voxel) => Err(format!("{voxel} does not fit the type").into()),
        None => Ok(image.map(|&voxel| to(voxel))),
    }
}
