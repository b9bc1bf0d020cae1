//! What lies between the header and the voxels.

use super::error::{NiftiError, NiftiWarning};
use super::source::Source;

/// More bytes of extensions than this are refused: the largest in use are megabytes of CIFTI XML.
const MAX_BYTES: u64 = 1 << 28;

/// Passes over the extensions up to `vox_offset`, keeping none of them, and says whether they are well formed.
pub(super) fn skip(
    source: &mut Source<'_>,
    vox_offset: u64,
    big_endian: bool,
) -> Result<Option<NiftiWarning>, NiftiError> {
    const PART: &str = "gap before the voxels";
    let mut left = vox_offset - source.position();
    if left > MAX_BYTES {
        let path = source.path().to_path_buf();
        return Err(NiftiError::BadExtension { path, bytes: left, limit: MAX_BYTES });
    }
    let mut flag = [0; 4];
    if left < 4 {
        source.skip(left, PART)?;
        return Ok(None);
    }
    source.fill_exact(&mut flag, PART)?;
    left -= 4;
    let mut warning = None;
    let mut extensions = 0;
    while flag[0] != 0 && left >= 8 && warning.is_none() {
        let mut head = [0; 8];
        source.fill_exact(&mut head, PART)?;
        left -= 8;
        let size = [head[0], head[1], head[2], head[3]];
        let esize = if big_endian { i32::from_be_bytes(size) } else { i32::from_le_bytes(size) };
        let body = u64::try_from(esize).unwrap_or(0).saturating_sub(8);
        if esize == 0 && extensions > 0 {
            // Zeros behind the last extension are padding.
            break;
        } else if esize < 8 || esize % 16 != 0 || body > left {
            warning = Some(NiftiWarning::BadExtension { esize });
        } else {
            source.skip(body, PART)?;
            left -= body;
            extensions += 1;
        }
    }
    source.skip(left, PART)?;
    Ok(warning)
}
