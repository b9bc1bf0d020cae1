//! The data types of NIfTI voxels.

/// A data type of real numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datatype {
    U8,
    I8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Datatype {
    /// The type of a `datatype` code; for the others, the standard's name.
    pub(super) fn from_code(code: i16) -> Result<Self, &'static str> {
        Ok(match code {
            2 => Self::U8,
            256 => Self::I8,
            4 => Self::I16,
            512 => Self::U16,
            8 => Self::I32,
            768 => Self::U32,
            1024 => Self::I64,
            1280 => Self::U64,
            16 => Self::F32,
            64 => Self::F64,
            0 => return Err("DT_UNKNOWN"),
            1 => return Err("DT_BINARY"),
            32 => return Err("DT_COMPLEX64"),
            128 => return Err("DT_RGB24"),
            1536 => return Err("DT_FLOAT128"),
            1792 => return Err("DT_COMPLEX128"),
            2048 => return Err("DT_COMPLEX256"),
            2304 => return Err("DT_RGBA32"),
            _ => return Err("not in the standard"),
        })
    }

    /// Bytes of one voxel.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// A voxel as it is stored.
pub(super) trait Stored: Copy {
    /// Bytes of one voxel.
    const BYTES: usize;
    /// Whether it can be NaN or infinite.
    const FLOAT: bool;
    /// From `BYTES` bytes, least significant first.
    fn from_le(bytes: &[u8]) -> Self;
    /// From `BYTES` bytes, most significant first.
    fn from_be(bytes: &[u8]) -> Self;
    /// For an image.
    fn to_f32(self) -> f32;
    /// For scaling, and for messages.
    fn to_f64(self) -> f64;
    /// The label id that this is exactly, if it is one.
    fn to_label(self) -> Option<u16>;
}

macro_rules! stored {
    ($($t:ty, $float:literal, |$v:ident| $label:expr;)*) => {$(
        impl Stored for $t {
            const BYTES: usize = size_of::<$t>();
            const FLOAT: bool = $float;
            fn from_le(bytes: &[u8]) -> Self {
                let mut b = [0; size_of::<$t>()];
                b.copy_from_slice(bytes);
                Self::from_le_bytes(b)
            }
            fn from_be(bytes: &[u8]) -> Self {
                let mut b = [0; size_of::<$t>()];
                b.copy_from_slice(bytes);
                Self::from_be_bytes(b)
            }
            fn to_f32(self) -> f32 { self as f32 }
            fn to_f64(self) -> f64 { self as f64 }
            fn to_label(self) -> Option<u16> { let $v = self; $label }
        }
    )*};
}

stored! {
    u8, false, |v| Some(v.into());
    i8, false, |v| u16::try_from(v).ok();
    i16, false, |v| u16::try_from(v).ok();
    u16, false, |v| Some(v);
    i32, false, |v| u16::try_from(v).ok();
    u32, false, |v| u16::try_from(v).ok();
    i64, false, |v| u16::try_from(v).ok();
    u64, false, |v| u16::try_from(v).ok();
    // `as` saturates and turns NaN into 0, so that only whole numbers in range come back unchanged.
    f32, true, |v| (f32::from(v as u16) == v).then_some(v as u16);
    f64, true, |v| (f64::from(v as u16) == v).then_some(v as u16);
}
