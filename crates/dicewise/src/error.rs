use crate::Partition;

/// What was wrong with an argument, with the value and what is accepted instead.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DiceError {
    /// A dimension of the shape is 0.
    #[error("{dimension} is 0: batch, classes and voxels must all be at least 1")]
    ZeroDimension {
        /// `"batch"`, `"classes"` or `"voxels"`.
        dimension: &'static str,
    },
    /// The product of the dimensions does not fit in memory.
    #[error("shape [{batch}, {classes}, {voxels}] has more elements than this machine can address")]
    ShapeTooLarge {
        /// B.
        batch: usize,
        /// C.
        classes: usize,
        /// I.
        voxels: usize,
    },
    /// An array does not have as many elements as its shape says.
    #[error("{argument} has {found} elements, but the shape {shape} needs {expected}")]
    Length {
        /// The argument, e.g. `"prediction"`.
        argument: &'static str,
        /// The shape in words, e.g. `"[2, 3, 4096]"`.
        shape: String,
        /// Elements that the shape needs.
        expected: usize,
        /// Elements that were given.
        found: usize,
    },
    /// Two arguments disagree on batch or classes.
    #[error(
        "{argument} is for batch {} and {} classes, but batch {} and {} classes are expected",
        found.0, found.1, expected.0, expected.1
    )]
    ShapeMismatch {
        /// The argument, e.g. `"presence"`.
        argument: &'static str,
        /// `(batch, classes)` expected.
        expected: (usize, usize),
        /// `(batch, classes)` found.
        found: (usize, usize),
    },
    /// A prediction is NaN or infinite.
    #[error("prediction is {value} at batch {batch}, class {class}, voxel {voxel}: it must be finite")]
    PredictionNotFinite {
        /// The value.
        value: f64,
        /// Index of the sample.
        batch: usize,
        /// Index of the class.
        class: usize,
        /// Index of the voxel.
        voxel: usize,
    },
    /// A prediction is not a probability.
    #[error(
        "prediction is {value} at batch {batch}, class {class}, voxel {voxel}: it must lie in [0, 1]; \
         if these are logits, apply softmax or sigmoid first"
    )]
    PredictionNotProbability {
        /// The value.
        value: f64,
        /// Index of the sample.
        batch: usize,
        /// Index of the class.
        class: usize,
        /// Index of the voxel.
        voxel: usize,
    },
    /// A dense target is not in \[0, 1\].
    #[error("target is {value} at batch {batch}, class {class}, voxel {voxel}: it must lie in [0, 1]")]
    TargetNotProbability {
        /// The value.
        value: f64,
        /// Index of the sample.
        batch: usize,
        /// Index of the class.
        class: usize,
        /// Index of the voxel.
        voxel: usize,
    },
    /// A label is no class index.
    #[error(
        "label {label} at batch {batch}, voxel {voxel} is no class: labels must lie in 0..{classes}; \
         a label to leave out is declared with `ignore_index`"
    )]
    LabelOutOfRange {
        /// The label.
        label: i64,
        /// Index of the sample.
        batch: usize,
        /// Index of the voxel.
        voxel: usize,
        /// C.
        classes: usize,
    },
    /// A smoothing term is negative, NaN or infinite.
    #[error("{argument} ε is {value}: it must be finite and at least 0")]
    EpsilonValue {
        /// `"numerator"` or `"denominator"`.
        argument: &'static str,
        /// The value.
        value: f64,
    },
    /// ε > 0 above, 0 below: the Dice of an empty subset would be infinite.
    #[error("numerator ε is {numerator} with denominator ε 0: an empty subset would divide by zero")]
    EpsilonDenominatorZero {
        /// The numerator ε.
        numerator: f64,
    },
    /// One ε per class, but not as many as classes.
    #[error("{found} values of ε were given for {expected} classes: give one for each, background included")]
    EpsilonLength {
        /// C.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// One ε per class where a subset mixes classes.
    #[error("one ε per class needs subsets of one class (I or BI), but {partition} mixes classes")]
    EpsilonMixesClasses {
        /// The partition.
        partition: Partition,
    },
    /// A class weight is negative, NaN or infinite.
    #[error("the weight of class {class} is {value}: it must be finite and at least 0")]
    WeightValue {
        /// Index of the class.
        class: usize,
        /// The weight.
        value: f64,
    },
    /// No class has a weight.
    #[error("all class weights are 0: at least one class must count")]
    WeightsAllZero,
    /// Not as many weights as classes.
    #[error(
        "{found} class weights were given for {expected} classes: give one for each, background included"
    )]
    WeightsLength {
        /// C.
        expected: usize,
        /// Weights given.
        found: usize,
    },
    /// Graded or unnormalised weights where a subset mixes classes.
    #[error(
        "{partition} has no Dice of one class to weigh: there, normalised weights may only switch a class on \
         or off (all nonzero weights equal)"
    )]
    WeightsMixClasses {
        /// The partition.
        partition: Partition,
    },
    /// Marginal treatment without a background that counts.
    #[error(
        "marginal treatment adds missing classes to the background: it needs class 0 as background with a \
         weight above 0, and another class beside it"
    )]
    MarginalWithoutBackground,
    /// The background itself is declared missing under marginal treatment.
    #[error(
        "the background (class 0) of sample {batch} is declared missing: marginal treatment cannot do without"
    )]
    BackgroundMissing {
        /// Index of the sample.
        batch: usize,
    },
    /// Sums without Σ y₀ p_c, given to a marginal loss.
    #[error(
        "marginal treatment needs Σ y_0 p_c for each class: measure the sums with `DiceLoss::sums` or add \
         them with `DiceSums::with_background_overlap`"
    )]
    BackgroundOverlapMissing,
    /// Sums without Σ y² and Σ p², given to squared Dice.
    #[error(
        "squared Dice needs Σ y² and Σ p² for each class: measure the sums with `DiceLoss::sums` or add them \
         with `DiceSums::with_squares`"
    )]
    SquaresMissing,
    /// A derivative that depends on p, asked for without p.
    #[error(
        "the derivative of squared Dice depends on the prediction: write it with \
         `SegmentationLoss::write_gradient`"
    )]
    DerivativeNeedsPrediction,
    /// Squared Dice with marginal treatment.
    #[error(
        "marginal treatment does not go with squared Dice: the square of the merged probability is no sum of \
         the classes' squares"
    )]
    MarginalWithSquares,
    /// Marginal treatment of classes that are not exclusive.
    #[error("marginal treatment adds up probabilities of exclusive classes: use softmax, not sigmoid")]
    MarginalWithSigmoid,
    /// Cross-entropy without an activation.
    #[error("cross-entropy is computed from logits: choose sigmoid or softmax as activation")]
    CrossEntropyWithoutActivation,
    /// Sums without cross-entropy, given to a loss with it, or the other way round.
    #[error("the sums were measured by another loss: its cross-entropy term is not this one's")]
    CrossEntropySums,
    /// Generalized Dice where a subset has one class.
    #[error(
        "generalized Dice weighs the classes of a subset (use CI or BCI), but {partition} has one in each"
    )]
    GeneralizedNeedsClasses {
        /// The partition.
        partition: Partition,
    },
    /// A sum is NaN or infinite.
    #[error("the {argument} sum of batch {batch}, class {class} is {value}: it must be finite")]
    SumNotFinite {
        /// `"overlap"`, `"target"`, `"prediction"`, `"background overlap"` or another sum's name.
        argument: &'static str,
        /// The value.
        value: f64,
        /// Index of the sample.
        batch: usize,
        /// Index of the class.
        class: usize,
    },
    /// A quantity of a formula lies outside of its domain.
    #[error("{argument} is {value}: {accepted}")]
    Domain {
        /// The argument.
        argument: &'static str,
        /// The value.
        value: f64,
        /// What is accepted.
        accepted: &'static str,
    },
    /// A name that stands for nothing.
    #[error("unknown {what} `{name}`: use one of {accepted}")]
    UnknownName {
        /// What was to be named, e.g. `"partition"`.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names accepted.
        accepted: String,
    },
}
