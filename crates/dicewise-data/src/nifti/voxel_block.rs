//! The block of voxels: its shape, its scale, and where it starts.

use std::path::Path;

use super::error::{NiftiError, NiftiWarning};
use super::header::Header;

/// The shape and the number of channels.
pub(super) fn shape(header: &Header, path: &Path) -> Result<([usize; 3], usize), NiftiError> {
    let bad = |index, accepted| NiftiError::BadDim {
        path: path.to_path_buf(),
        index,
        value: header.dim[index],
        accepted,
    };
    let axes = match header.dim[0] {
        axes @ 1..=7 => axes as usize,
        _ => return Err(bad(0, "1 to 7")),
    };
    let mut extents = [1_u64; 7];
    let mut voxels = 1_u64;
    for index in 1..=axes {
        let extent = u64::try_from(header.dim[index]).unwrap_or(0);
        if extent == 0 {
            return Err(bad(index, "at least 1"));
        }
        extents[index - 1] = extent;
        // 2⁶⁰ voxels of 8 bytes still fit 64 bits.
        voxels = match voxels.checked_mul(extent) {
            Some(voxels) if voxels < 1 << 60 => voxels,
            _ => return Err(bad(index, "a product of all extents below 2^60")),
        };
    }
    let several = extents[3..].iter().filter(|&&extent| extent > 1).count();
    if axes < 3 || several > 1 {
        return Err(NiftiError::NotThreeD { path: path.to_path_buf(), dim: header.dim[1..=axes].to_vec() });
    }
    let fits =
        |extent: u64, index| usize::try_from(extent).map_err(|_| bad(index, "what this machine can address"));
    let channels = fits(extents[3..].iter().product(), 4)?;
    Ok(([fits(extents[0], 1)?, fits(extents[1], 2)?, fits(extents[2], 3)?], channels))
}

/// Slope and intercept, if they change anything. A slope of 0 or NaN means none.
pub(super) fn scale(
    header: &Header,
    path: &Path,
    warnings: &mut Vec<NiftiWarning>,
) -> Result<Option<(f64, f64)>, NiftiError> {
    let (slope, inter) = (header.scl_slope, header.scl_inter);
    let bad = |field, value| Err(NiftiError::BadScale { path: path.to_path_buf(), field, value });
    if slope == 0.0 {
        Ok(None)
    } else if slope.is_nan() {
        warnings.push(NiftiWarning::BadScale);
        Ok(None)
    } else if slope.is_infinite() {
        bad("scl_slope", slope)
    } else if !inter.is_finite() {
        bad("scl_inter", inter)
    } else {
        Ok(((slope, inter) != (1.0, 0.0)).then_some((slope, inter)))
    }
}

/// Where the voxels start in their file.
pub(super) fn vox_offset(
    header: &Header,
    first: u64,
    path: &Path,
    warnings: &mut Vec<NiftiWarning>,
) -> Result<u64, NiftiError> {
    let value = header.vox_offset;
    // In a single file four bytes that announce extensions follow the header.
    let least = if first == 0 { 0 } else { first + 4 };
    if value == 0.0 && first > 0 {
        if !header.pair {
            warnings.push(NiftiWarning::BadOffset);
        }
        return Ok(least);
    }
    if value.fract() != 0.0 || !(least as f64..=(1_u64 << 53) as f64).contains(&value) {
        let accepted = format!("a whole number of at least {least}");
        return Err(NiftiError::BadOffset { path: path.to_path_buf(), value, accepted });
    }
    Ok(value as u64)
}
