use std::fmt;

use crate::DiceError;

/// ε: the smoothing term, added once per subset after the reduction (Eq. 3).
///
/// ```text
/// D_φ = (2 Σ_φ y p + ε_n) / (Σ_φ (y + p) + ε_d)
/// ```
///
/// where ε_n = ε_d = ε in the paper. A small ε (1e-7) only guards the division; an ε as large as the object
/// ([`heuristic_epsilon`](crate::heuristic_epsilon)) makes an image-wise loss learn empty maps.
///
/// If both are 0, a subset with Σ(y + p) = 0 takes the limit ε → 0: Dice 1, gradient 0.
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "smooth")]
#[doc(alias = "smooth_nr")]
#[doc(alias = "smooth_dr")]
pub struct Epsilon {
    /// One pair for all classes, or one for each.
    pairs: Vec<Pair>,
    per_class: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair {
    numerator: f64,
    denominator: f64,
}

impl Pair {
    fn new(numerator: f64, denominator: f64) -> Result<Self, DiceError> {
        for (argument, value) in [("numerator", numerator), ("denominator", denominator)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(DiceError::EpsilonValue { argument, value });
            }
        }
        if numerator > 0.0 && denominator == 0.0 {
            return Err(DiceError::EpsilonDenominatorZero { numerator });
        }
        Ok(Self { numerator, denominator })
    }
}

impl Epsilon {
    /// The same ε in numerator and denominator, for all classes.
    ///
    /// # Errors
    /// ε negative, NaN or infinite.
    pub fn uniform(epsilon: f64) -> Result<Self, DiceError> {
        Self::new(epsilon, epsilon)
    }

    /// ε_n in the numerator, ε_d in the denominator, for all classes.
    ///
    /// `Epsilon::new(0.0, 1e-7)` is leaf Dice as the paper ran it; MONAI calls the two `smooth_nr` and
    /// `smooth_dr`. Without ε_n, a subset without ground truth has gradient exactly 0.
    ///
    /// # Errors
    /// A value negative, NaN or infinite; ε_n > 0 with ε_d = 0.
    pub fn new(numerator: f64, denominator: f64) -> Result<Self, DiceError> {
        Ok(Self { pairs: vec![Pair::new(numerator, denominator)?], per_class: false })
    }

    /// One ε per class, background included, the same in numerator and denominator.
    ///
    /// # Errors
    /// As [`Epsilon::new`]. That there is one for each class, and that Φ does not mix classes, is checked
    /// where both are known.
    pub fn per_class(epsilon: Vec<f64>) -> Result<Self, DiceError> {
        Self::per_class_split(&epsilon, &epsilon)
    }

    /// One ε_n and one ε_d per class, background included.
    ///
    /// # Errors
    /// As [`Epsilon::new`], and slices of different lengths.
    pub fn per_class_split(numerator: &[f64], denominator: &[f64]) -> Result<Self, DiceError> {
        if numerator.len() != denominator.len() || numerator.is_empty() {
            return Err(DiceError::EpsilonLength {
                expected: numerator.len().max(1),
                found: denominator.len(),
            });
        }
        let pairs =
            numerator.iter().zip(denominator).map(|(&n, &d)| Pair::new(n, d)).collect::<Result<_, _>>()?;
        Ok(Self { pairs, per_class: true })
    }

    /// Whether each class has its own ε.
    pub fn is_per_class(&self) -> bool {
        self.per_class
    }

    /// ε_n of class `c`; of any class if uniform.
    ///
    /// # Panics
    /// If ε is per class and `c` is not one of them.
    pub fn numerator(&self, c: usize) -> f64 {
        self.pair(c).numerator
    }

    /// ε_d of class `c`; of any class if uniform.
    ///
    /// # Panics
    /// If ε is per class and `c` is not one of them.
    pub fn denominator(&self, c: usize) -> f64 {
        self.pair(c).denominator
    }

    fn pair(&self, c: usize) -> Pair {
        self.pairs[if self.per_class { c } else { 0 }]
    }

    pub(crate) fn check_classes(&self, classes: usize) -> Result<(), DiceError> {
        if self.per_class && self.pairs.len() != classes {
            return Err(DiceError::EpsilonLength { expected: classes, found: self.pairs.len() });
        }
        Ok(())
    }
}

/// `1e-7`, `0/1e-7` (numerator/denominator), or a bracketed list of these, one per class.
impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |pair: &Pair| match pair.numerator == pair.denominator {
            true => number(pair.numerator),
            false => format!("{}/{}", number(pair.numerator), number(pair.denominator)),
        };
        if !self.per_class {
            return f.write_str(&text(&self.pairs[0]));
        }
        let texts: Vec<_> = self.pairs.iter().map(text).collect();
        write!(f, "[{}]", texts.join(", "))
    }
}

/// 1e-7 rather than 0.0000001, 400 rather than 4e2.
fn number(value: f64) -> String {
    if value == 0.0 || (0.01..1e6).contains(&value) { format!("{value}") } else { format!("{value:e}") }
}
