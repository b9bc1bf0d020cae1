//! The loss: settings in, sums and gradients into arrays of the caller.

use dicewise::{
    Activation, ClassWeights, DiceLoss, Epsilon, MissingLabels, Partition, Presence, SegmentationLoss,
    SegmentationTerms, Shape, Similarity, Target, VolumeWeight,
};
use pyo3::prelude::*;

use crate::{memory::Memory, value_error, words::loss_error};

/// Runs `$body` with the elements of a memory as a slice of their type.
macro_rules! with_elements {
    ($memory:expr, $argument:expr, |$slice:ident| $body:expr) => {
        match $memory.element() {
            "float32" => {
                let $slice = $memory.read::<f32>($argument)?;
                $body
            }
            "float64" => {
                let $slice = $memory.read::<f64>($argument)?;
                $body
            }
            "float16" => {
                let $slice = $memory.read::<half::f16>($argument)?;
                $body
            }
            "bfloat16" => {
                let $slice = $memory.read::<half::bf16>($argument)?;
                $body
            }
            other => {
                let argument = $argument;
                return Err(value_error(format!(
                    "{argument} is of type {other}: it must be float32, float64, float16 or bfloat16"
                )));
            }
        }
    };
}

/// B, C and the voxels of a map.
type Dimensions = (usize, usize, usize);
/// B and C.
type Maps = (usize, usize);

/// A loss with all its settings. What passes from one of its steps to the next is its sums, `[sum_rows, B, C]`.
#[pyclass(frozen, module = "dicewise._core")]
pub(crate) struct Loss {
    partition: Partition,
    missing: MissingLabels,
    similarity: Similarity,
    focal_exponent: f64,
    weights: Option<ClassWeights>,
    activation: Activation,
    cross_entropy: f64,
    /// With the ε of the settings.
    loss: SegmentationLoss,
}

#[pymethods]
impl Loss {
    #[new]
    #[pyo3(signature = (
        *, partition, numerator, denominator, activation, weights, normalised, missing, similarity, alpha, beta,
        focal_exponent, cross_entropy
    ))]
    #[expect(clippy::too_many_arguments, reason = "the settings of the Python front, by name")]
    fn new(
        partition: &str,
        numerator: Vec<f64>,
        denominator: Vec<f64>,
        activation: &str,
        weights: Option<Vec<f64>>,
        normalised: bool,
        missing: &str,
        similarity: &str,
        alpha: f64,
        beta: f64,
        focal_exponent: f64,
        cross_entropy: f64,
    ) -> PyResult<Self> {
        let partition: Partition = partition.parse().map_err(loss_error)?;
        let missing: MissingLabels = missing.parse().map_err(loss_error)?;
        let similarity = match similarity {
            "dice" => Similarity::Dice,
            "squared-dice" => Similarity::SquaredDice,
            "jaccard" => Similarity::Jaccard,
            "tversky" => Similarity::Tversky { alpha, beta },
            "generalized-dice" => Similarity::GeneralizedDice(VolumeWeight::InverseSquare),
            "generalized-dice-simple" => Similarity::GeneralizedDice(VolumeWeight::Inverse),
            other => return Err(value_error(format!("unknown similarity `{other}`"))),
        };
        let activation = match activation {
            "none" => Activation::None,
            "sigmoid" => Activation::Sigmoid,
            "softmax" => Activation::Softmax,
            other => return Err(value_error(format!("unknown activation `{other}`"))),
        };
        let weights = match (weights, normalised) {
            (None, _) => None,
            (Some(weights), true) => Some(ClassWeights::normalised(weights).map_err(loss_error)?),
            (Some(weights), false) => Some(ClassWeights::unnormalised(weights).map_err(loss_error)?),
        };
        let epsilon = epsilon(&numerator, &denominator)?;
        let dice = dice(partition, epsilon, missing, similarity, focal_exponent, weights.as_ref())?;
        let loss = segmentation(dice, activation, cross_entropy)?;
        Ok(Self { partition, missing, similarity, focal_exponent, weights, activation, cross_entropy, loss })
    }

    /// How many sums of each map there are.
    #[getter]
    fn sum_rows(&self) -> usize {
        self.loss.sum_fields()
    }

    /// Step 1: writes the sums, `[sum_rows, B, C]` in float64.
    #[expect(clippy::too_many_arguments, reason = "the arrays of one voxel pass")]
    fn sums(
        &self,
        py: Python<'_>,
        dimensions: Dimensions,
        prediction: Memory,
        target: Memory,
        mask: Option<Memory>,
        ignore_index: Option<i64>,
        presence: Option<Memory>,
        mut out: Memory,
    ) -> PyResult<()> {
        let shape = shape(dimensions)?;
        let presence = presence_of(shape.batch(), shape.classes(), presence.as_ref())?;
        let target = target_of(shape, &target, mask.as_ref(), ignore_index)?;
        let sums = with_elements!(prediction, "prediction", |input| {
            py.detach(|| self.loss.sums(input, &target, presence.as_ref())).map_err(loss_error)?
        });
        let (out, flat) = (out.write::<f64>("sums")?, sums.to_flat());
        check_length("sums", flat.len(), out.len())?;
        out.copy_from_slice(&flat);
        Ok(())
    }

    /// Step 2: the loss of a batch of these sums. `epsilon` `[C]` stands for that of the settings.
    fn value(
        &self,
        maps: Maps,
        sums: Memory,
        presence: Option<Memory>,
        epsilon: Option<Memory>,
    ) -> PyResult<f64> {
        Ok(self.terms(maps, &sums, presence.as_ref(), epsilon.as_ref())?.1.loss)
    }

    /// Step 2 for a device whose voxel pass is not ours: a, b, c, row, cross-entropy factor and group of the
    /// `out`/6C samples from `first` on, `[6, B', C]` in float64.
    fn coefficients(
        &self,
        maps: Maps,
        sums: Memory,
        presence: Option<Memory>,
        epsilon: Option<Memory>,
        first: usize,
        mut out: Memory,
    ) -> PyResult<()> {
        let classes = maps.1;
        let (_, terms) = self.terms(maps, &sums, presence.as_ref(), epsilon.as_ref())?;
        let out = out.write::<f64>("coefficients")?;
        let samples = out.len() / (6 * classes);
        let terms = terms.rows(first..first + samples).map_err(loss_error)?;
        check_length("coefficients", 6 * samples * classes, out.len())?;
        let identity: Vec<usize> = (0..samples * classes).map(|map| map % classes).collect();
        let groups = if terms.groups().is_empty() { &identity } else { terms.groups() };
        let whole = |values: &[usize]| values.iter().map(|&value| value as f64).collect::<Vec<_>>();
        // Dice has weight 1: Python has a weight of the cross-entropy only.
        let dice = &terms.dice;
        let rows = [
            dice.a.to_vec(),
            dice.b.to_vec(),
            dice.c.to_vec(),
            whole(&dice.row),
            terms.cross_entropy_factor().to_vec(),
            whole(groups),
        ];
        for (out, row) in out.chunks_exact_mut(samples * classes).zip(&rows) {
            out.copy_from_slice(row);
        }
        Ok(())
    }

    /// For such a device: the class that each is merged into in the cross-entropy, `[B, C]` in int64. `sizes` are
    /// Σ y, `[B, C]` in float64, which only inferred missing labels need.
    fn groups(
        &self,
        maps: Maps,
        sizes: Option<Memory>,
        presence: Option<Memory>,
        mut out: Memory,
    ) -> PyResult<()> {
        let (batch, classes) = maps;
        let presence = presence_of(batch, classes, presence.as_ref())?;
        let sizes = sizes.as_ref().map(|sizes| sizes.read::<f64>("sizes")).transpose()?;
        let groups = self.loss.groups(batch, classes, sizes, presence.as_ref()).map_err(loss_error)?;
        let out = out.write::<i64>("groups")?;
        check_length("groups", groups.len(), out.len())?;
        out.iter_mut().zip(groups).for_each(|(out, group)| *out = group as i64);
        Ok(())
    }

    /// Step 3: writes `scale` times the gradient for the samples from `first` on of the batch of these sums.
    #[expect(clippy::too_many_arguments, reason = "the arrays of one voxel pass")]
    fn gradient(
        &self,
        py: Python<'_>,
        dimensions: Dimensions,
        prediction: Memory,
        target: Memory,
        mask: Option<Memory>,
        ignore_index: Option<i64>,
        batch: usize,
        sums: Memory,
        presence: Option<Memory>,
        epsilon: Option<Memory>,
        first: usize,
        scale: f64,
        mut out: Memory,
    ) -> PyResult<()> {
        let shape = shape(dimensions)?;
        let target = target_of(shape, &target, mask.as_ref(), ignore_index)?;
        let (loss, terms) =
            self.terms((batch, shape.classes()), &sums, presence.as_ref(), epsilon.as_ref())?;
        let terms = terms.rows(first..first + shape.batch()).map_err(loss_error)?;
        with_elements!(prediction, "prediction", |input| {
            out.expect_huge_pages(size_of_val(&input[..input.len().min(1)]));
            let out = out.write("gradient")?;
            py.detach(|| loss.write_gradient(&terms, input, &target, scale, out)).map_err(loss_error)
        })
    }

    fn __repr__(&self) -> String {
        self.loss.dice().to_string()
    }
}

impl Loss {
    pub(crate) fn dice(&self) -> &DiceLoss {
        self.loss.dice()
    }

    fn terms(
        &self,
        (batch, classes): Maps,
        sums: &Memory,
        presence: Option<&Memory>,
        epsilon: Option<&Memory>,
    ) -> PyResult<(SegmentationLoss, SegmentationTerms)> {
        let loss = match epsilon {
            None => self.loss.clone(),
            Some(values) => {
                let values = values.read::<f64>("epsilon")?.to_vec();
                let epsilon = Epsilon::per_class(values).map_err(loss_error)?;
                let weights = self.weights.as_ref();
                let dice = dice(
                    self.partition,
                    epsilon,
                    self.missing,
                    self.similarity,
                    self.focal_exponent,
                    weights,
                )?;
                segmentation(dice, self.activation, self.cross_entropy)?
            }
        };
        let presence = presence_of(batch, classes, presence)?;
        let sums = loss.sums_from_flat(batch, classes, sums.read::<f64>("sums")?).map_err(loss_error)?;
        let terms = loss.terms(&sums, presence.as_ref()).map_err(loss_error)?;
        Ok((loss, terms))
    }
}

fn dice(
    partition: Partition,
    epsilon: Epsilon,
    missing: MissingLabels,
    similarity: Similarity,
    focal_exponent: f64,
    weights: Option<&ClassWeights>,
) -> PyResult<DiceLoss> {
    let mut dice = DiceLoss::new(partition, epsilon)
        .and_then(|dice| dice.with_missing_labels(missing))
        .and_then(|dice| dice.with_similarity(similarity))
        .map_err(loss_error)?;
    if focal_exponent != 1.0 {
        dice = dice.with_focal_exponent(focal_exponent).map_err(loss_error)?;
    }
    match weights {
        None => Ok(dice),
        Some(weights) => dice.with_class_weights(weights.clone()).map_err(loss_error),
    }
}

fn segmentation(dice: DiceLoss, activation: Activation, cross_entropy: f64) -> PyResult<SegmentationLoss> {
    let loss = SegmentationLoss::new(dice, activation).map_err(loss_error)?;
    match cross_entropy == 0.0 {
        true => Ok(loss),
        false => loss.with_cross_entropy(cross_entropy).map_err(loss_error),
    }
}

/// One value for all classes, or one for each.
fn epsilon(numerator: &[f64], denominator: &[f64]) -> PyResult<Epsilon> {
    match (numerator, denominator) {
        (&[numerator], &[denominator]) => Epsilon::new(numerator, denominator),
        _ => Epsilon::per_class_split(numerator, denominator),
    }
    .map_err(loss_error)
}

fn shape((batch, classes, voxels): Dimensions) -> PyResult<Shape> {
    Shape::new(batch, classes, voxels).map_err(loss_error)
}

fn presence_of(batch: usize, classes: usize, presence: Option<&Memory>) -> PyResult<Option<Presence>> {
    let Some(presence) = presence else { return Ok(None) };
    let annotated = presence.read_bool("presence")?.to_vec();
    Presence::new(batch, classes, annotated).map(Some).map_err(loss_error)
}

/// Integers are labels, floating-point numbers are maps; so are bytes that are as many as the maps have voxels: with
/// one class too, where a label map would have class 0 only.
fn target_of<'a>(
    shape: Shape,
    target: &'a Memory,
    mask: Option<&'a Memory>,
    ignore_index: Option<i64>,
) -> PyResult<Target<'a>> {
    const ARGUMENT: &str = "target";
    let found = match target.element() {
        "uint8" if target.len() == shape.elements() => Target::dense(shape, target.read::<u8>(ARGUMENT)?),
        "uint8" => Target::labels(shape, target.read::<u8>(ARGUMENT)?),
        "uint16" => Target::labels(shape, target.read::<u16>(ARGUMENT)?),
        "int16" => Target::labels(shape, target.read::<i16>(ARGUMENT)?),
        "int32" => Target::labels(shape, target.read::<i32>(ARGUMENT)?),
        "int64" => Target::labels(shape, target.read::<i64>(ARGUMENT)?),
        _ => with_elements!(target, ARGUMENT, |maps| Target::dense(shape, maps)),
    }
    .map_err(loss_error)?
    .ignore_index(ignore_index);
    match mask {
        None => Ok(found),
        Some(mask) => found.masked(mask.read_bool("mask")?).map_err(loss_error),
    }
}

fn check_length(argument: &str, expected: usize, found: usize) -> PyResult<()> {
    if expected == found {
        return Ok(());
    }
    Err(value_error(format!("{argument} has {found} elements: {expected} are needed")))
}
