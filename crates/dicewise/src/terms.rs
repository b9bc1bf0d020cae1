use std::ops::Range;

use crate::DiceError;

/// Step 2: the loss and its derivative, which is affine in y within a map.
///
/// ```text
/// ∂DL/∂p_bci = a[b, c] − b[b, c] · y_{b, row[b, c], i}                                  (Eq. 4)
/// a = (2 O_φ + ε_n) / (|Φ| (U_φ + ε_d)²),   b = 2 / (|Φ| (U_φ + ε_d))
/// ```
///
/// where O_φ = Σ_φ y p is the overlap and U_φ = Σ_φ (y + p) the union of the subset φ of map (b, c). For hard
/// labels the derivative takes two values: a where y = 0, a − b where y = 1. Masked voxels get 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DiceTerms {
    /// DL, Eq. 3.
    pub loss: f64,
    /// B.
    pub batch: usize,
    /// C.
    pub classes: usize,
    /// The derivative where y = 0, `[B, C]`.
    pub a: Vec<f64>,
    /// By how much the derivative is lower where y = 1, `[B, C]`.
    pub b: Vec<f64>,
    /// The class whose y stands in the derivative, `[B, C]`: the map's own, but 0 for a missing class under
    /// marginal treatment.
    pub row: Vec<usize>,
    /// D_φ of each subset, `[|Φ|]`; `None` where missing labels left nothing.
    pub dice: Vec<Option<f64>>,
}

impl DiceTerms {
    /// ∂DL/∂p of map `(b, c)` at a voxel whose target in class [`row`](DiceTerms::row)`[b, c]` is `y`.
    ///
    /// # Panics
    /// If `b` or `c` is out of range.
    pub fn derivative(&self, b: usize, c: usize, y: f64) -> f64 {
        assert!(c < self.classes, "class {c} of {}", self.classes);
        let map = b * self.classes + c;
        self.a[map] - self.b[map] * y
    }

    /// Whether every map has its own y in its derivative: true except for missing labels under marginal
    /// treatment.
    pub fn rows_are_identity(&self) -> bool {
        self.row.iter().enumerate().all(|(map, &row)| row == map % self.classes)
    }

    /// The terms of some of the samples, e.g. of one rank's; the loss stays that of the whole batch.
    ///
    /// # Errors
    /// A range that is empty or reaches beyond the batch.
    pub fn rows(&self, samples: Range<usize>) -> Result<Self, DiceError> {
        if samples.is_empty() || samples.end > self.batch {
            return Err(DiceError::ShapeMismatch {
                argument: "range of samples",
                expected: (self.batch, self.classes),
                found: (samples.end, self.classes),
            });
        }
        let maps = samples.start * self.classes..samples.end * self.classes;
        Ok(Self {
            loss: self.loss,
            batch: samples.len(),
            classes: self.classes,
            a: self.a[maps.clone()].to_vec(),
            b: self.b[maps.clone()].to_vec(),
            row: self.row[maps].to_vec(),
            dice: self.dice.clone(),
        })
    }
}
