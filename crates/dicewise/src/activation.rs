use std::{fmt, str::FromStr};

use crate::DiceError;

/// How a network's output becomes the probability p that the loss is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The input is p already.
    None,
    /// p_c = 1 / (1 + e^(−x_c)), every class on its own: overlapping regions.
    #[doc(alias = "multi-label")]
    Sigmoid,
    /// p_c = e^(x_c) / Σ_k e^(x_k) over the classes of a voxel: exclusive classes.
    #[doc(alias = "multi-class")]
    Softmax,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::None, Self::Sigmoid, Self::Softmax];
}

/// `none`, `sigmoid` or `softmax`, which [`FromStr`] reads back.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Sigmoid => "sigmoid",
            Self::Softmax => "softmax",
        })
    }
}

/// Reads `none`, `sigmoid`, `softmax`.
impl FromStr for Activation {
    type Err = DiceError;

    fn from_str(name: &str) -> Result<Self, DiceError> {
        match name.trim() {
            "none" => Ok(Self::None),
            "sigmoid" => Ok(Self::Sigmoid),
            "softmax" => Ok(Self::Softmax),
            _ => Err(DiceError::UnknownName {
                what: "activation",
                name: name.to_owned(),
                accepted: "none, sigmoid, softmax".to_owned(),
            }),
        }
    }
}
