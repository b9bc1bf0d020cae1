//! Training examples from prepared cases.
use dicewise_data::augment::{AugmentStep, Augmentation, Axis, Patch, Spread, Target};
use dicewise_experiment::{CellConfig, OutputActivation, PatchPlace};
use dicewise_train::{Sample, SampleSource};

use crate::cases::{PreparedCase, training_labels};
use crate::run_error::RunError;

/// The cases of one side of a split, as a network of the cell sees them.
pub(crate) struct CaseSource {
    patches: Vec<Patch>,
    annotated: Vec<Vec<bool>>,
    augmentation: Augmentation,
    shape: [usize; 3],
    seed: u64,
    labels: usize,
    softmax: bool,
}

impl CaseSource {
    /// For training: patches where the experiment wants them, varied.
    pub(crate) fn training(
        config: &CellConfig,
        cases: &[&PreparedCase],
    ) -> Result<Self, RunError> {
        Self::new(config, cases, training_steps(config))
    }

    /// For validation: the middle of each case, unvaried.
    pub(crate) fn validation(
        config: &CellConfig,
        cases: &[&PreparedCase],
    ) -> Result<Self, RunError> {
        let crop = config.patch.as_ref().map(|patch| centre_crop(patch.size, 0));
        Self::new(config, cases, crop.into_iter().collect())
    }

    fn new(
        config: &CellConfig,
        cases: &[&PreparedCase],
        steps: Vec<AugmentStep>,
    ) -> Result<Self, RunError> {
        let augmentation = Augmentation { steps };
        augmentation.validate()?;
        let softmax = config.target.activation == OutputActivation::Softmax;
        let labels = config.target.labels.len();
        let (mut patches, mut annotated) = (Vec::new(), Vec::new());
        let mut shape = None;
        for case in cases {
            let (classes, present) = training_labels(config, case)?;
            let patch = Patch::new(&case.prepared.channels, &classes);
            let sees = augmentation.shape(patch.shape);
            let expected = *shape.get_or_insert(sees);
            if sees != expected {
                return Err(RunError::SizesDiffer { case: case.id.clone(), found: sees, expected });
            }
            let divisor = config.network.architecture.divisor();
            if (0..3).any(|axis| sees[axis] % divisor[axis] != 0) {
                return Err(RunError::NotDivisible { case: case.id.clone(), found: sees, divisor });
            }
            patches.push(patch);
            // The background, where it is a channel, is always annotated.
            annotated.push(softmax.then_some(true).into_iter().chain(present).collect());
        }
        let shape = shape.unwrap_or_default();
        Ok(Self { patches, annotated, augmentation, shape, seed: config.cell.seed, labels, softmax })
    }

    /// Mean number of voxels of each output channel over the cases, labels emptied where the labelling says so:
    /// E Σy of Eq. 5.
    pub(crate) fn mean_sizes(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels()];
        for case in 0..self.patches.len() {
            let target = self.draw(case, 0).target;
            for (sum, map) in sums.iter_mut().zip(target.chunks(target.len() / self.channels())) {
                *sum += map.iter().map(|&y| f64::from(y)).sum::<f64>();
            }
        }
        sums.iter().map(|sum| sum / self.patches.len().max(1) as f64).collect()
    }

    fn channels(&self) -> usize {
        self.labels + usize::from(self.softmax)
    }
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
        let classes = match &patch.target {
            Target::Labels(labels) => labels,
            Target::Soft { .. } => unreachable!("patches are made of label maps"),
        };
        let first = u16::from(!self.softmax);
        let target = (first..=self.labels as u16)
            .flat_map(|class| classes.iter().map(move |&label| f32::from(u8::from(label == class))))
            .collect();
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
