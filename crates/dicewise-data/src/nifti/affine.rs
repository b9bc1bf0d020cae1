//! Where the voxels are in the world: sform, else qform, else the voxel sizes, as the standard has it.

use std::path::Path;

use super::error::{NiftiError, NiftiWarning};
use super::header::Header;

/// Which of a header's fields the affine comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    /// The matrix `srow_x`, `srow_y`, `srow_z`.
    Sform,
    /// The quaternion, the offsets and `pixdim`.
    Qform,
    /// `pixdim` alone: the file does not say how the volume lies.
    Pixdim,
}

impl Orientation {
    /// What messages call it.
    fn field(self) -> &'static str {
        match self {
            Self::Sform => "sform",
            Self::Qform => "qform",
            Self::Pixdim => "pixdim",
        }
    }
}

/// Forms that place a corner of the volume further apart than this share of a voxel are reported.
const FORM_TOLERANCE_VOXELS: f64 = 0.1;
/// A voxel of more than this is reported: a kilometre.
const LARGEST_VOXEL_MM: f64 = 1e6;

type Affine = [[f64; 4]; 4];

/// The affine in millimetres of a volume of the given shape.
pub(super) fn of_header(
    header: &Header,
    shape: [usize; 3],
    path: &Path,
    warnings: &mut Vec<NiftiWarning>,
) -> Result<(Affine, Orientation), NiftiError> {
    for (field, code) in [("qform_code", header.qform_code), ("sform_code", header.sform_code)] {
        if !(0..=5).contains(&code) {
            warnings.push(NiftiWarning::BadXformCode { field, code });
        }
    }
    let has_qform = header.qform_code > 0;
    let (rows, orientation) = if header.sform_code > 0 {
        if is_invertible(&header.srow) {
            if has_qform {
                compare_forms(header, shape, path, warnings);
            }
            (header.srow, Orientation::Sform)
        } else if has_qform {
            warnings.push(NiftiWarning::SingularAffine);
            (qform(header, path, warnings)?, Orientation::Qform)
        } else {
            let path = path.to_path_buf();
            return Err(NiftiError::SingularAffine { path, form: "sform", matrix: Box::new(header.srow) });
        }
    } else if has_qform {
        (qform(header, path, warnings)?, Orientation::Qform)
    } else {
        let [x, y, z] = spacing(header, path, warnings)?;
        warnings.push(NiftiWarning::NoOrientation);
        ([[x, 0., 0., 0.], [0., y, 0., 0.], [0., 0., z, 0.]], Orientation::Pixdim)
    };
    let factor = millimetres(header.xyzt_units, warnings);
    let rows = rows.map(|row| row.map(|v| v * factor));
    // Finite metres may be infinite millimetres, and voxels may be so small that they have no volume.
    if !is_invertible(&rows) {
        let path = path.to_path_buf();
        return Err(NiftiError::SingularAffine { path, form: orientation.field(), matrix: Box::new(rows) });
    }
    let [x, y, z] = rows;
    Ok(([x, y, z, [0., 0., 0., 1.]], orientation))
}

/// What lengths have to be multiplied by. Unknown units are taken for millimetres.
fn millimetres(units: i32, warnings: &mut Vec<NiftiWarning>) -> f64 {
    let factor = match units & 7 {
        0 | 2 => return 1.0,
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0,
    };
    warnings.push(NiftiWarning::BadUnits { units, factor });
    factor
}

/// The sizes of a voxel.
fn spacing(header: &Header, path: &Path, warnings: &mut Vec<NiftiWarning>) -> Result<[f64; 3], NiftiError> {
    let mut spacing = [0.0; 3];
    for (axis, size) in spacing.iter_mut().enumerate() {
        let value = header.pixdim[axis + 1];
        if value == 0.0 || !value.is_finite() {
            return Err(NiftiError::BadPixdim { path: path.to_path_buf(), axis: axis + 1, value });
        }
        *size = value.abs();
        if value < 0.0 || *size > LARGEST_VOXEL_MM {
            warnings.push(NiftiWarning::BadPixdim { axis: axis + 1, value, understood: *size });
        }
    }
    Ok(spacing)
}

/// The rows of the qform.
fn qform(
    header: &Header,
    path: &Path,
    warnings: &mut Vec<NiftiWarning>,
) -> Result<[[f64; 4]; 3], NiftiError> {
    let spacing = spacing(header, path, warnings)?;
    let quaternion = header.quaternion;
    let [mut b, mut c, mut d] = quaternion;
    let norm2 = b * b + c * c + d * d;
    if !norm2.is_finite() {
        return Err(NiftiError::BadQuaternion { path: path.to_path_buf(), quaternion });
    }
    // The standard: a = √(1 − b² − c² − d²). A half turn has a = 0, where rounding may leave b² + c² + d² above 1.
    let a = if norm2 < 1.0 {
        (1.0 - norm2).sqrt()
    } else {
        let norm = norm2.sqrt();
        [b, c, d] = [b / norm, c / norm, d / norm];
        0.0
    };
    if norm2 > 1.0 + 1e-5 {
        warnings.push(NiftiWarning::BadQuaternion { quaternion });
    }
    let qfac = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    if ![-1.0, 0.0, 1.0].contains(&header.pixdim[0]) {
        warnings.push(NiftiWarning::BadPixdim { axis: 0, value: header.pixdim[0], understood: qfac });
    }
    let rotation = [
        [a * a + b * b - c * c - d * d, 2. * (b * c - a * d), 2. * (b * d + a * c)],
        [2. * (b * c + a * d), a * a + c * c - b * b - d * d, 2. * (c * d - a * b)],
        [2. * (b * d - a * c), 2. * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let [dx, dy, dz] = spacing;
    let rows = std::array::from_fn(|r| {
        let [x, y, z] = rotation[r];
        [x * dx, y * dy, z * dz * qfac, header.qoffset[r]]
    });
    if !is_invertible(&rows) {
        return Err(NiftiError::SingularAffine {
            path: path.to_path_buf(),
            form: "qform",
            matrix: Box::new(rows),
        });
    }
    Ok(rows)
}

/// Warns where the sform, which decides, and the qform place the volume differently.
fn compare_forms(header: &Header, shape: [usize; 3], path: &Path, warnings: &mut Vec<NiftiWarning>) {
    // The qform is not used: whatever is wrong with it is a warning at most.
    let Ok(q) = qform(header, path, &mut Vec::new()) else {
        if !header.quaternion.iter().all(|v| v.is_finite()) {
            warnings.push(NiftiWarning::BadQuaternion { quaternion: header.quaternion });
        }
        return;
    };
    let distance_mm = corner_distance_mm(&header.srow, &q, shape);
    let voxel = (0..3)
        .map(|axis| (0..3).map(|r| header.srow[r][axis].powi(2)).sum::<f64>().sqrt())
        .fold(f64::INFINITY, f64::min);
    if distance_mm > FORM_TOLERANCE_VOXELS * voxel {
        warnings.push(NiftiWarning::FormMismatch { distance_mm });
    }
}

/// The largest distance between the places that two affines give a corner of the volume.
pub(crate) fn corner_distance_mm(a: &[[f64; 4]], b: &[[f64; 4]], shape: [usize; 3]) -> f64 {
    (0..8)
        .map(|corner| {
            let at: [f64; 3] =
                std::array::from_fn(|k| if corner >> k & 1 == 1 { shape[k] as f64 - 1.0 } else { 0.0 });
            (0..3)
                .map(|r| {
                    let d: [f64; 4] = std::array::from_fn(|k| a[r][k] - b[r][k]);
                    (d[0] * at[0] + d[1] * at[1] + d[2] * at[2] + d[3]).powi(2)
                })
                .sum::<f64>()
                .sqrt()
        })
        .fold(0.0, f64::max)
}

/// Whether a matrix is finite and takes no volume to zero, relative to the lengths of its columns.
pub(super) fn is_invertible(rows: &[[f64; 4]; 3]) -> bool {
    let [x, y, z] = rows;
    let det = x[0] * (y[1] * z[2] - y[2] * z[1]) - x[1] * (y[0] * z[2] - y[2] * z[0])
        + x[2] * (y[0] * z[1] - y[1] * z[0]);
    let lengths: f64 = (0..3).map(|k| (x[k].powi(2) + y[k].powi(2) + z[k].powi(2)).sqrt()).product();
    rows.iter().flatten().all(|v| v.is_finite()) && det.abs() > 1e-6 * lengths
}

/// What the header's qform fields have to be, if the affine is a rotation of scaled axes.
pub(super) struct Quaternion {
    /// `pixdim[0]`.
    pub(super) qfac: f64,
    /// b, c, d.
    pub(super) bcd: [f64; 3],
}

impl Quaternion {
    /// None if the axes are not orthogonal, which a quaternion cannot express.
    pub(super) fn of_affine(affine: &Affine, spacing: [f64; 3]) -> Option<Self> {
        let mut r: [[f64; 3]; 3] =
            std::array::from_fn(|i| std::array::from_fn(|k| affine[i][k] / spacing[k]));
        let dot = |a: usize, b: usize| (0..3).map(|i| r[i][a] * r[i][b]).sum::<f64>().abs();
        if [dot(0, 1), dot(0, 2), dot(1, 2)].iter().any(|&d| d > 1e-5) {
            return None;
        }
        let det = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1])
            - r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0])
            + r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
        let qfac = if det < 0.0 { -1.0 } else { 1.0 };
        for row in &mut r {
            row[2] *= qfac;
        }
        // 4·(a², b², c², d²); dividing by the largest of the four keeps the division well conditioned.
        let [xx, yy, zz] = [r[0][0], r[1][1], r[2][2]];
        let squares = [1. + xx + yy + zz, 1. + xx - yy - zz, 1. - xx + yy - zz, 1. - xx - yy + zz];
        let (a, bcd) = if squares[0] > 1.0 {
            let a = 0.5 * squares[0].sqrt();
            let s = 0.25 / a;
            (a, [s * (r[2][1] - r[1][2]), s * (r[0][2] - r[2][0]), s * (r[1][0] - r[0][1])])
        } else if squares[1] >= squares[2] && squares[1] >= squares[3] {
            let b = 0.5 * squares[1].sqrt();
            let s = 0.25 / b;
            (s * (r[2][1] - r[1][2]), [b, s * (r[0][1] + r[1][0]), s * (r[0][2] + r[2][0])])
        } else if squares[2] >= squares[3] {
            let c = 0.5 * squares[2].sqrt();
            let s = 0.25 / c;
            (s * (r[0][2] - r[2][0]), [s * (r[0][1] + r[1][0]), c, s * (r[1][2] + r[2][1])])
        } else {
            let d = 0.5 * squares[3].sqrt();
            let s = 0.25 / d;
            (s * (r[1][0] - r[0][1]), [s * (r[0][2] + r[2][0]), s * (r[1][2] + r[2][1]), d])
        };
        // q and −q are the same rotation; the header leaves out a, which is therefore taken to be ≥ 0.
        Some(Self { qfac, bcd: if a < 0.0 { bcd.map(|v| -v) } else { bcd } })
    }
}
