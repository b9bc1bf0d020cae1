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
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layout {
    Uniform,
    PerClass,
    /// Every pair in every subset.
    Averaged,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair {
    pub(crate) numerator: f64,
    pub(crate) denominator: f64,
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
        Ok(Self { pairs: vec![Pair::new(numerator, denominator)?], layout: Layout::Uniform })
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
        Self::several(numerator, denominator, Layout::PerClass)
    }

    /// Every ε_n and ε_d in every subset, averaged: what the paper's authors computed where they meant one ε per class,
    /// for reproduction only.
    ///
    /// ```text
    /// D_φ = (1/E) Σ_e (2 Σ_φ y p + ε_e) / (Σ_φ (y + p) + ε_e)
    /// ```
    ///
    /// Their tensor of shape (C, 1) was added to one of shape (B, 1, 1, 1, C), which broadcasts to (B, 1, 1, C, C):
    /// each class's Dice with each class's ε, that of the background included, and then the mean over all.
    ///
    /// # Errors
    /// As [`Epsilon::per_class_split`].
    pub fn averaged(numerator: &[f64], denominator: &[f64]) -> Result<Self, DiceError> {
        Self::several(numerator, denominator, Layout::Averaged)
    }

    fn several(numerator: &[f64], denominator: &[f64], layout: Layout) -> Result<Self, DiceError> {
        if numerator.len() != denominator.len() || numerator.is_empty() {
            return Err(DiceError::EpsilonLength {
                expected: numerator.len().max(1),
                found: denominator.len(),
            });
        }
        let pairs =
            numerator.iter().zip(denominator).map(|(&n, &d)| Pair::new(n, d)).collect::<Result<_, _>>()?;
        Ok(Self { pairs, layout })
    }

    /// Whether each class has its own ε.
    pub fn is_per_class(&self) -> bool {
        self.layout == Layout::PerClass
    }

    /// Whether every subset has every class's ε, averaged.
    pub fn is_averaged(&self) -> bool {
        self.layout == Layout::Averaged
    }

    /// ε_n of class `c`; of any class if uniform, the one that class `c` contributed if averaged.
    ///
    /// # Panics
    /// If ε is per class and `c` is not one of them.
    pub fn numerator(&self, c: usize) -> f64 {
        self.pair(c).numerator
    }

    /// ε_d of class `c`; of any class if uniform, the one that class `c` contributed if averaged.
    ///
    /// # Panics
    /// If ε is per class and `c` is not one of them.
    pub fn denominator(&self, c: usize) -> f64 {
        self.pair(c).denominator
    }

    fn pair(&self, c: usize) -> Pair {
        self.pairs[if self.layout == Layout::Uniform { 0 } else { c }]
    }

    /// What stands in a subset of class `c`: one pair, or several to average over.
    pub(crate) fn pairs_of(&self, c: usize) -> &[Pair] {
        match self.layout {
            Layout::PerClass => &self.pairs[c..=c],
            Layout::Uniform | Layout::Averaged => &self.pairs,
        }
    }

    pub(crate) fn check_classes(&self, classes: usize) -> Result<(), DiceError> {
        if self.layout == Layout::PerClass && self.pairs.len() != classes {
            return Err(DiceError::EpsilonLength { expected: classes, found: self.pairs.len() });
        }
        Ok(())
    }
}

/// `1e-7`, `0/1e-7` (numerator/denominator), or a bracketed list of these, one per class, perhaps averaged.
impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |pair: &Pair| match pair.numerator == pair.denominator {
            true => number(pair.numerator),
            false => format!("{}/{}", number(pair.numerator), number(pair.denominator)),
        };
        let texts: Vec<_> = self.pairs.iter().map(text).collect();
        match self.layout {
            Layout::Uniform => f.write_str(&texts[0]),
            Layout::PerClass => write!(f, "[{}]", texts.join(", ")),
            Layout::Averaged => write!(f, "average of [{}]", texts.join(", ")),
        }
    }
}

/// 1e-7 rather than 0.0000001, 400 rather than 4e2.
fn number(value: f64) -> String {
    if value == 0.0 || (0.01..1e6).contains(&value) { format!("{value}") } else { format!("{value:e}") }
}
