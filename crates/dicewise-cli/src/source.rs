//! Training examples from prepared cases.
use std::io;

use dicewise_data::augment::{AugmentStep, Augmentation, Axis, Patch, Spread, Target};
use dicewise_data::preprocess::PreprocessError;
use dicewise_experiment as experiment;
use dicewise_experiment::{CellConfig, OutputActivation, PatchPlace};
use dicewise_train::{Sample, SampleSource};

use crate::cases::{emptied_label, with_background};
use crate::prepared_case::PreparedCase;
use crate::run_error::RunError;

/// The cases of one side of a split, as a network of the cell sees them.
pub(crate) struct CaseSource<'a> {
    cases: Vec<Example<'a>>,
    augmentation: Augmentation,
    shape: [usize; 3],
    seed: u64,
    target: experiment::Target,
}

struct Example<'a> {
    case: &'a PreparedCase,
    /// The label that training does not have.
    emptied: Option<usize>,
    /// Which output channels are annotated.
    annotated: Vec<bool>,
    /// What crops lie about.
    anchor: Option<[usize; 3]>,
}

impl<'a> CaseSource<'a> {
    /// For training: patches where the experiment wants them, varied.
    pub(crate) fn training(config: &CellConfig, cases: &[&'a PreparedCase]) -> Result<Self, RunError> {
        Self::new(config, cases, training_steps(config))
    }

    /// For validation: the middle of each case, or what crops lie about, unvaried.
    pub(crate) fn validation(config: &CellConfig, cases: &[&'a PreparedCase]) -> Result<Self, RunError> {
        let crop = config.patch.as_ref().map(|patch| match patch.training {
            PatchPlace::Oracle | PatchPlace::Image => anchor_crop(patch.size, 0),
            PatchPlace::Centre | PatchPlace::Random => centre_crop(patch.size, 0),
        });
        Self::new(config, cases, crop.into_iter().collect())
    }

    fn new(
        config: &CellConfig,
        cases: &[&'a PreparedCase],
        steps: Vec<AugmentStep>,
    ) -> Result<Self, RunError> {
        let augmentation = Augmentation { steps };
        augmentation.validate()?;
        let mut examples = Vec::new();
        let mut shape = None;
        for case in cases {
            let sees = augmentation.shape(case.working.shape);
            let expected = *shape.get_or_insert(sees);
            if sees != expected {
                return Err(RunError::SizesDiffer { case: case.id.clone(), found: sees, expected });
            }
            let divisor = config.network.architecture.divisor();
            if (0..3).any(|axis| !sees[axis].is_multiple_of(divisor[axis])) {
                return Err(RunError::NotDivisible { case: case.id.clone(), found: sees, divisor });
            }
            let anchor = match config.patch.as_ref().map(|patch| patch.training) {
                Some(PatchPlace::Oracle) => Some(case.centres.truth.ok_or_else(|| RunError::Preprocess {
                    case: case.id.clone(),
                    source: PreprocessError::NothingToCentreOn { label: None },
                })?),
                Some(PatchPlace::Image) => Some(case.centres.image),
                _ => None,
            };
            let emptied = emptied_label(config, case);
            let declared = case.annotated.iter().enumerate();
            let declared = declared.map(|(label, &annotated)| annotated && Some(label) != emptied);
            // The background, where it is a channel, is always annotated.
            let annotated = background(&config.target).then_some(true).into_iter().chain(declared).collect();
            examples.push(Example { case, emptied, annotated, anchor });
        }
        Ok(Self {
            cases: examples,
            augmentation,
            shape: shape.unwrap_or_default(),
            seed: config.cell.seed,
            target: config.target.clone(),
        })
    }

    /// Voxels of each output channel in each case, labels emptied where the labelling says so: Σy of Eq. 5.
    pub(crate) fn sizes(&self) -> io::Result<Vec<Vec<f64>>> {
        let size = |map: &[f32]| map.iter().map(|&y| f64::from(y)).sum();
        (0..self.cases.len())
            .map(|case| {
                let target = self.draw(case, 0)?.target;
                Ok(target.chunks(target.len() / self.target.channels()).map(size).collect())
            })
            .collect()
    }

    /// Number of channels of the images.
    pub(crate) fn channels(&self) -> io::Result<usize> {
        Ok(self.cases[0].case.voxels()?.patch.channels.len())
    }

    /// Turns a label map into one map a channel: 1 where it has one of a label's values.
    fn soften(&self, patch: &mut Patch) {
        let Target::Labels(labels) = &patch.target else { return };
        let indicator =
            |values: &[u16]| labels.iter().map(|y| f32::from(u8::from(values.contains(y)))).collect();
        let maps = self.target.labels.iter().map(|label| indicator(&label.values)).collect();
        patch.target = with_background(&self.target, maps);
    }

    /// Empties one label of a soft target: its voxels become background.
    fn empty(&self, maps: &mut [Vec<f32>], place: usize) {
        let first = usize::from(background(&self.target));
        let voxels = maps[first + place].len();
        let emptied = std::mem::replace(&mut maps[first + place], vec![0.0; voxels]);
        if first == 1 {
            maps[0].iter_mut().zip(&emptied).for_each(|(y0, y)| *y0 += y);
        }
    }
}

/// Whether the background is an output channel.
fn background(target: &experiment::Target) -> bool {
    target.activation == OutputActivation::Softmax
}

impl SampleSource for CaseSource<'_> {
    fn cases(&self) -> usize {
        self.cases.len()
    }

    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn draw(&self, case: usize, epoch: u64) -> io::Result<Sample> {
        let example = &self.cases[case];
        let mut patch = example.case.voxels()?.patch.clone();
        patch.anchor = example.anchor;
        // Soft targets move by interpolation, label maps by the nearest voxel.
        if self.target.soft {
            self.soften(&mut patch);
        }
        self.augmentation.apply(&mut patch, self.seed, case as u64, epoch);
        self.soften(&mut patch);
        let Target::Soft { mut maps, .. } = patch.target else { unreachable!("softened above") };
        if let Some(place) = example.emptied {
            self.empty(&mut maps, place);
        }
        Ok(Sample {
            image: patch.channels.concat(),
            target: maps.concat(),
            annotated: example.annotated.clone(),
        })
    }
}

fn anchor_crop(shape: [usize; 3], jitter: usize) -> AugmentStep {
    AugmentStep::AnchorCrop { shape, jitter: [jitter; 3] }
}

fn centre_crop(shape: [usize; 3], jitter: usize) -> AugmentStep {
    AugmentStep::CentreCrop { shape, jitter: [jitter; 3] }
}

fn training_steps(config: &CellConfig) -> Vec<AugmentStep> {
    let augmentation = &config.augmentation;
    let mut steps = Vec::new();
    let about_z = |degrees: f64| [0.0, 0.0, degrees.to_radians()];
    let rotation = match (augmentation.rotate_z_degrees, augmentation.rotate_z_sigma_degrees) {
        (Some(most), _) => Some(Spread::Uniform(about_z(most))),
        (None, sigma) => sigma.map(|sigma| Spread::Normal(about_z(sigma))),
    };
    let translation = augmentation.translate_sigma_voxels.map(Spread::Normal);
    let scale = augmentation.scale_change.map(|change| Spread::Uniform([change; 3]));
    if rotation.is_some() || translation.is_some() || scale.is_some() {
        steps.push(AugmentStep::Affine {
            translation: translation.unwrap_or_default(),
            rotation: rotation.unwrap_or_default(),
            scale: scale.unwrap_or_default(),
        });
    }
    if let Some(voxels) = augmentation.elastic_voxels {
        steps.push(AugmentStep::Elastic { displacement: [voxels; 3] });
    }
    let shift = augmentation.shift_voxels;
    match config.patch.as_ref().map(|patch| (patch.training, patch.size)) {
        Some((PatchPlace::Centre, size)) => steps.push(centre_crop(size, shift.unwrap_or(0))),
        Some((PatchPlace::Oracle | PatchPlace::Image, size)) => {
            steps.push(anchor_crop(size, shift.unwrap_or(0)));
        }
        Some((PatchPlace::Random, shape)) => steps.push(AugmentStep::RandomCrop { shape }),
        None => steps.extend(shift.map(|voxels| AugmentStep::Shift { voxels: [voxels; 3] })),
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
    use dicewise_data::{Grid, Volume};
    use dicewise_experiment::{Experiment, Labelling, Overrides};

    use super::*;
    use crate::prepared_case::{Centres, Room, Voxels};

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
        let patch = Patch::new(&[Volume::new(grid.clone(), vec![0.5; 8])], &truth);
        let centres = Centres { image: [1; 3], truth: patch.target_centroid() };
        let (names, voxels) = ([group; 3].map(str::to_owned), Voxels { patch, truth });
        let place = (&Room::new(1 << 20), "unused".as_ref());
        PreparedCase::new(names, [grid.clone(), grid], centres, vec![true, false], voxels, place).unwrap()
    }

    fn sample(activation: &str, labelling: &str, group: &str) -> Sample {
        CaseSource::validation(&config(activation, labelling), &[&case(group)]).unwrap().draw(0, 0).unwrap()
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
    fn sizes_are_of_the_labels_that_training_sees() {
        let cases = [case("ED"), case("ES")];
        let cases: Vec<&PreparedCase> = cases.iter().collect();
        let source = CaseSource::validation(&config("sigmoid", "partial"), &cases).unwrap();
        assert_eq!(source.sizes().unwrap(), [[4.0, 2.0], [0.0, 2.0]]);
        assert_eq!(crate::network::mean(&source.sizes().unwrap()), [2.0, 2.0]);
    }

    /// As [`case`], with a soft target of the shares ¼ and ½ of outer and inner in the last voxel.
    fn soft_case() -> PreparedCase {
        let grid = Grid::axis_aligned([2, 2, 2], [1.0; 3]);
        let truth = Volume::new(grid.clone(), vec![0; 8]);
        let mut patch = Patch::new(&[Volume::new(grid.clone(), vec![0.5; 8])], &truth);
        let last = |share: f32| [vec![0.0; 7], vec![share]].concat();
        patch.target = Target::Soft {
            maps: vec![[vec![1.0; 7], vec![0.25]].concat(), last(0.25), last(0.5)],
            outside: vec![1.0, 0.0, 0.0],
        };
        let centres = Centres { image: [0; 3], truth: patch.target_centroid() };
        let (names, voxels) = (["ES"; 3].map(str::to_owned), Voxels { patch, truth });
        let place = (&Room::new(1 << 20), "unused".as_ref());
        PreparedCase::new(names, [grid.clone(), grid], centres, vec![true; 2], voxels, place).unwrap()
    }

    #[test]
    fn soft_targets_stay_soft_and_an_emptied_ones_share_goes_to_the_background() {
        let mut config = config("softmax", "partial");
        config.target.soft = true;
        let (case, last) = (soft_case(), |sample: &Sample| [7, 15, 23].map(|i| sample.target[i]));
        let sample = CaseSource::validation(&config, &[&case]).unwrap().draw(0, 0).unwrap();
        assert_eq!(last(&sample), [0.5, 0.0, 0.5]);
        config.cell.labelling = Labelling::Full;
        let sample = CaseSource::validation(&config, &[&case]).unwrap().draw(0, 0).unwrap();
        assert_eq!(last(&sample), [0.25, 0.25, 0.5]);
    }

    #[test]
    fn soft_targets_are_interpolated_by_augmentation_and_hard_ones_are_not() {
        let mut config = config("softmax", "full");
        config.augmentation.rotate_z_degrees = Some(180.0);
        for soft in [true, false] {
            config.target.soft = soft;
            let case = case("ES");
            let source = CaseSource::training(&config, &[&case]).unwrap();
            let targets: Vec<f32> = (0..20).flat_map(|epoch| source.draw(0, epoch).unwrap().target).collect();
            assert_eq!(targets.iter().any(|y| *y > 0.0 && *y < 1.0), soft);
            // Background is what comes in from outside: the classes add up to 1 everywhere.
            for sample in targets.chunks(24) {
                assert!((0..8).all(|i| (sample[i] + sample[8 + i] + sample[16 + i] - 1.0).abs() < 1e-6));
            }
        }
    }

    #[test]
    fn crops_lie_about_the_truth_or_the_image_as_asked() {
        let mut config = config("softmax", "full");
        let case = soft_case();
        config.target.soft = true;
        for (training, voxel) in [(PatchPlace::Oracle, 7), (PatchPlace::Image, 0)] {
            let prediction = dicewise_experiment::PredictionExtent::Oracle;
            config.patch = Some(dicewise_experiment::Patch { size: [1; 3], training, prediction });
            let source = CaseSource::training(&config, &[&case]).unwrap();
            let Target::Soft { maps, .. } = &case.voxels().unwrap().patch.target else { panic!() };
            assert_eq!(source.draw(0, 3).unwrap().target[2], maps[2][voxel]);
        }
    }
}
