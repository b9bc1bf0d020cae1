//! Training examples from prepared cases.
use dicewise_data::augment::{AugmentStep, Augmentation, Axis, Patch, Spread, Target};
use dicewise_experiment as experiment;
use dicewise_experiment::{CellConfig, OutputActivation, PatchPlace};
use dicewise_train::{Sample, SampleSource};

use crate::cases::{PreparedCase, emptied_label};
use crate::run_error::RunError;

/// The cases of one side of a split, as a network of the cell sees them.
pub(crate) struct CaseSource {
    patches: Vec<Patch>,
    /// Of each case, the label that training does not have.
    emptied: Vec<Option<usize>>,
    /// Of each case, which output channels are annotated.
    annotated: Vec<Vec<bool>>,
    augmentation: Augmentation,
    shape: [usize; 3],
    seed: u64,
    target: experiment::Target,
}

impl CaseSource {
    /// For training: patches where the experiment wants them, varied.
    pub(crate) fn training(config: &CellConfig, cases: &[&PreparedCase]) -> Result<Self, RunError> {
        Self::new(config, cases, training_steps(config))
    }

    /// For validation: the middle of each case, unvaried.
    pub(crate) fn validation(config: &CellConfig, cases: &[&PreparedCase]) -> Result<Self, RunError> {
        let crop = config.patch.as_ref().map(|patch| centre_crop(patch.size, 0));
        Self::new(config, cases, crop.into_iter().collect())
    }

    fn new(config: &CellConfig, cases: &[&PreparedCase], steps: Vec<AugmentStep>) -> Result<Self, RunError> {
        let augmentation = Augmentation { steps };
        augmentation.validate()?;
        let (mut patches, mut emptied, mut annotated) = (Vec::new(), Vec::new(), Vec::new());
        let mut shape = None;
        for case in cases {
            let labels = case.prepared.labels.as_ref();
            let labels = labels.ok_or_else(|| RunError::NoLabels { case: case.id.clone() })?;
            let patch = Patch::new(&case.prepared.channels, labels);
            let sees = augmentation.shape(patch.shape);
            let expected = *shape.get_or_insert(sees);
            if sees != expected {
                return Err(RunError::SizesDiffer { case: case.id.clone(), found: sees, expected });
            }
            let divisor = config.network.architecture.divisor();
            if (0..3).any(|axis| !sees[axis].is_multiple_of(divisor[axis])) {
                return Err(RunError::NotDivisible { case: case.id.clone(), found: sees, divisor });
            }
            patches.push(patch);
            let missing = emptied_label(config, case);
            let declared = case.annotated.iter().enumerate();
            let declared = declared.map(|(label, &annotated)| annotated && Some(label) != missing);
            // The background, where it is a channel, is always annotated.
            annotated.push(background(&config.target).then_some(true).into_iter().chain(declared).collect());
            emptied.push(missing);
        }
        Ok(Self {
            patches,
            emptied,
            annotated,
            augmentation,
            shape: shape.unwrap_or_default(),
            seed: config.cell.seed,
            target: config.target.clone(),
        })
    }

    /// Mean number of voxels of each output channel over the cases, labels emptied where the labelling says so:
    /// E Σy of Eq. 5.
    pub(crate) fn mean_sizes(&self) -> Vec<f64> {
        let channels = self.target.channels();
        let mut sums = vec![0.0; channels];
        for case in 0..self.patches.len() {
            let target = self.draw(case, 0).target;
            for (sum, map) in sums.iter_mut().zip(target.chunks(target.len() / channels)) {
                *sum += map.iter().map(|&y| f64::from(y)).sum::<f64>();
            }
        }
        sums.iter().map(|sum| sum / self.patches.len().max(1) as f64).collect()
    }

    /// The target's channels, `[C, Z, Y, X]`: 1 where the label map has one of a label's values.
    fn channels(&self, case: usize, labels: &[u16]) -> Vec<f32> {
        let voxels = labels.len();
        let first = usize::from(background(&self.target));
        let mut channels = vec![0.0; self.target.channels() * voxels];
        for (place, label) in self.target.labels.iter().enumerate() {
            if self.emptied[case] == Some(place) {
                continue;
            }
            let map = &mut channels[(first + place) * voxels..][..voxels];
            for (y, value) in map.iter_mut().zip(labels) {
                *y = f32::from(u8::from(label.values.contains(value)));
            }
        }
        if first == 1 {
            let (background, foreground) = channels.split_at_mut(voxels);
            background.fill(1.0);
            for map in foreground.chunks(voxels) {
                background.iter_mut().zip(map).for_each(|(y0, y)| *y0 -= y);
            }
        }
        channels
    }
}

fn background(target: &experiment::Target) -> bool {
    target.activation == OutputActivation::Softmax
}

impl SampleSource for CaseSource {
    fn cases(&self) -> usize {
        self.patches.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn draw(&self, case: usize, epoch: u64) -> Sample {
        let mut patch = self.patches[case].clone();
        self.augmentation.apply(&mut patch, self.seed, case as u64, epoch);
        let Target::Labels(labels) = &patch.target else {
            unreachable!("patches are made of label maps, and no step softens them")
        };
        let target = self.channels(case, labels);
        Sample { image: patch.channels.concat(), target, annotated: self.annotated[case].clone() }
    }
}

fn centre_crop(shape: [usize; 3], jitter: usize) -> AugmentStep {
    AugmentStep::CentreCrop { shape, jitter: [jitter; 3] }
}

fn training_steps(config: &CellConfig) -> Vec<AugmentStep> {
    let augmentation = &config.augmentation;
    let mut steps = Vec::new();
    if let Some(degrees) = augmentation.rotate_z_degrees {
        steps.push(AugmentStep::Affine {
            translation: Spread::default(),
            rotation: Spread::Uniform([0.0, 0.0, degrees.to_radians()]),
            scale: Spread::default(),
        });
    }
    match (&config.patch, augmentation.shift_voxels) {
        (Some(patch), shift) if patch.training == PatchPlace::Centre => {
            steps.push(centre_crop(patch.size, shift.unwrap_or(0)));
        }
        (Some(patch), _) => steps.push(AugmentStep::RandomCrop { shape: patch.size }),
        (None, Some(voxels)) => steps.push(AugmentStep::Shift { voxels: [voxels; 3] }),
        (None, None) => {}
    }
    if let Some(probability) = augmentation.flip_x {
        steps.push(AugmentStep::Flip { axis: Axis::X, probability });
    }
    if augmentation.intensity_shift.is_some() || augmentation.intensity_scale.is_some() {
        let (shift, scale) = (augmentation.intensity_shift, augmentation.intensity_scale);
        steps.push(AugmentStep::Intensity { shift: shift.unwrap_or(0.0), scale: scale.unwrap_or(0.0) });
    }
    if let Some(deviation) = augmentation.noise {
        steps.push(AugmentStep::Noise { deviation });
    }
    steps
}

#[cfg(test)]
mod tests {
    use dicewise_data::preprocess::Prepared;
    use dicewise_data::{Grid, Volume};
    use dicewise_experiment::{Experiment, Labelling, Overrides};

    use super::*;

    fn config(activation: &str, labelling: &str) -> CellConfig {
        let text = format!(
            r#"
            name = "x"
            seeds = [0]
            data = {{ phantom = "heart", phantom_subjects = 4, phantom_shape = [8, 8, 8] }}
            target = {{ activation = "{activation}", labels = {{ outer = [1, 2], inner = [3] }} }}
            split = {{ folds = 2, run = [0] }}
            partial = {{ label = "outer", group = "ES" }}
            network = {{ base = 2, levels = 1 }}
            training = {{ iterations = 3, learning_rate = 1e-3 }}
            cells = [{{ labelling = "{labelling}", settings = ["I"], batch_sizes = [1] }}]
            "#
        );
        let experiment =
            Experiment::parse("x.toml".as_ref(), &text, &Overrides::default(), &|_| None).unwrap();
        experiment.cell_config(&experiment.cells()[0])
    }

    /// Eight voxels with the labels 0, 1, 2, 3, 0, 1, 2, 3.
    fn case(group: &str) -> PreparedCase {
        let grid = Grid::axis_aligned([2, 2, 2], [1.0; 3]);
        let truth = Volume::new(grid.clone(), (0..8).map(|i| i % 4).collect());
        let channels = vec![Volume::new(grid.clone(), vec![0.5; 8])];
        let prepared = Prepared { channels, labels: Some(truth.clone()), original: grid };
        PreparedCase {
            id: group.to_owned(),
            subject: group.to_owned(),
            group: group.to_owned(),
            prepared,
            truth,
            annotated: vec![true, false],
        }
    }

    fn sample(activation: &str, labelling: &str, group: &str) -> Sample {
        CaseSource::validation(&config(activation, labelling), &[&case(group)]).unwrap().draw(0, 0)
    }

    const BACKGROUND: [f32; 8] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    const OUTER: [f32; 8] = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
    const INNER: [f32; 8] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

    #[test]
    fn a_label_merges_its_values_and_softmax_adds_the_background() {
        assert_eq!(sample("sigmoid", "full", "ES").target, [OUTER, INNER].concat());
        assert_eq!(sample("softmax", "full", "ES").target, [BACKGROUND, OUTER, INNER].concat());
    }

    #[test]
    fn partial_labelling_empties_one_label_in_one_group() {
        assert_eq!(sample("sigmoid", "partial", "ED").target, [OUTER, INNER].concat());
        assert_eq!(sample("sigmoid", "partial", "ES").target, [[0.0; 8], INNER].concat());
        let without: Vec<f32> = INNER.iter().map(|y| 1.0 - y).collect();
        let expected = [without.as_slice(), &[0.0; 8], &INNER].concat();
        assert_eq!(sample("softmax", "partial", "ES").target, expected);
    }

    #[test]
    fn an_emptied_label_is_declared_missing_beside_what_is_declared_already() {
        assert_eq!(config("sigmoid", "partial").cell.labelling, Labelling::Partial);
        assert_eq!(sample("sigmoid", "full", "ES").annotated, [true, false]);
        assert_eq!(sample("sigmoid", "partial", "ES").annotated, [false, false]);
        assert_eq!(sample("softmax", "partial", "ES").annotated, [true, false, false]);
    }

    #[test]
    fn mean_sizes_are_of_the_labels_that_training_sees() {
        let cases = [case("ED"), case("ES")];
        let cases: Vec<&PreparedCase> = cases.iter().collect();
        let source = CaseSource::validation(&config("sigmoid", "partial"), &cases).unwrap();
        assert_eq!(source.mean_sizes(), [2.0, 2.0]);
    }
}
