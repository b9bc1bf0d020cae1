use cubecl::client::Client;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use cubecl::server::Handle;
use dicewise::{
    Activation, DiceLoss, DiceSums, Epsilon, MissingLabels, MissingRule, Partition, Presence, Shape,
};
use dicewise_gpu::VoxelPasses;
use dicewise_oracle::{Activation as OracleActivation, Logits, Missing, Phi, Problem};

pub(crate) const F32: ElemType = ElemType::Float(FloatKind::F32);

pub(crate) fn client() -> Client {
    cubecl::Device::default().client()
}

/// Input and target, values exact in f32. Class c of sample b is declared missing where 2b + c = 3 (its map is empty
/// then), and annotated but empty where b + 2c = 4.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) shape: Shape,
    pub(crate) activation: Activation,
    pub(crate) input: Vec<f32>,
    pub(crate) target: Vec<f32>,
    pub(crate) annotated: Vec<bool>,
}

impl Batch {
    pub(crate) fn new(batch: usize, classes: usize, voxels: usize, activation: Activation) -> Self {
        let shape = Shape::new(batch, classes, voxels).unwrap();
        let mut annotated = vec![true; batch * classes];
        let (mut input, mut target) = (Vec::new(), Vec::new());
        for b in 0..batch {
            for c in 0..classes {
                let missing = 2 * b + c == 3;
                annotated[b * classes + c] = !missing;
                for i in 0..voxels {
                    let value = noise((b * classes + c) * voxels + i);
                    // Logits up to ±12: probabilities from 1e-5 to 1.
                    input.push(if activation == Activation::None { value } else { 24.0 * (value - 0.5) });
                    let truth = (noise(b * 31 + i * 17 + 5) * classes as f32) as usize == c;
                    let soft = 0.5 + 0.5 * noise(i + 3);
                    let empty = missing || b + 2 * c == 4;
                    target.push(if truth && !empty { soft } else { 0.0 });
                }
            }
        }
        Self { shape, activation, input, target, annotated }
    }

    pub(crate) fn presence(&self) -> Presence {
        Presence::new(self.shape.batch(), self.shape.classes(), self.annotated.clone()).unwrap()
    }

    pub(crate) fn passes(&self, client: &Client) -> VoxelPasses {
        VoxelPasses::new(client.clone(), self.shape, self.activation, F32).expect("every device has f32")
    }

    /// The sums from the device.
    pub(crate) fn sums(&self, client: &Client, background: bool) -> DiceSums {
        let (input, target) = (upload(client, &self.input), upload(client, &self.target));
        let parts = self.passes(client).sums(input, target, background);
        VoxelPasses::add_up(&download(client, parts.handle), parts.dims).unwrap()
    }

    /// The loss and `upstream` times its derivative, from the device.
    pub(crate) fn run(&self, client: &Client, loss: &DiceLoss, upstream: f32) -> (f64, Vec<f32>) {
        let sums = self.sums(client, loss.missing_labels().is_marginal());
        let terms = loss.terms(&sums, Some(&self.presence())).unwrap();
        let (input, target) = (upload(client, &self.input), upload(client, &self.target));
        let gradient = self.passes(client).gradient(input, target, &terms, upload(client, &[upstream]));
        (terms.loss, download(client, gradient))
    }

    /// The same from the oracle.
    pub(crate) fn oracle(&self, setting: &Setting) -> (f64, Vec<f64>) {
        let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
        let phi = match setting.partition {
            Partition::ImageWise => Phi::I,
            Partition::ClassWise => Phi::CI,
            Partition::BatchWise => Phi::BI,
            Partition::AllWise => Phi::BCI,
        };
        let (batch, classes) = (self.shape.batch(), self.shape.classes());
        let (x, y) = (wide(&self.input), wide(&self.target));
        let mut problem = Problem::new(batch, classes, x.clone(), y, phi, setting.epsilon);
        problem.annotated = self.annotated.clone();
        problem.missing = match setting.missing {
            MissingLabels::AsEmpty => Missing::AsEmpty,
            MissingLabels::Leaf(_) => Missing::Leaf,
            MissingLabels::Marginal(_) => Missing::Marginal,
        };
        let activation = match self.activation {
            Activation::None => OracleActivation::None,
            Activation::Sigmoid => OracleActivation::Sigmoid,
            Activation::Softmax => OracleActivation::Softmax,
        };
        let logits = Logits { problem, x, activation, dice_weight: 1.0, cross_entropy_weight: 0.0 };
        (logits.loss(), logits.gradient())
    }
}

/// Φ, ε and the treatment of missing labels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) partition: Partition,
    pub(crate) epsilon: f64,
    pub(crate) missing: MissingLabels,
}

impl Setting {
    /// Every Φ with every treatment that is possible with this activation and number of classes.
    pub(crate) fn all(batch: &Batch) -> Vec<Self> {
        let declared = MissingRule::Declared;
        let treatments =
            [MissingLabels::AsEmpty, MissingLabels::Leaf(declared), MissingLabels::Marginal(declared)];
        let exclusive = batch.activation != Activation::Sigmoid && batch.shape.classes() > 1;
        // Only an annotated background can take in what is missing.
        let background = batch.annotated.iter().step_by(batch.shape.classes()).all(|&annotated| annotated);
        let possible = |missing: &MissingLabels| !missing.is_marginal() || (exclusive && background);
        let with = |partition| {
            let epsilon = if partition == Partition::ImageWise { 3.0 } else { 1e-3 };
            treatments.into_iter().filter(possible).map(move |missing| Self { partition, epsilon, missing })
        };
        Partition::ALL.into_iter().flat_map(with).collect()
    }

    pub(crate) fn loss(&self) -> DiceLoss {
        let loss = DiceLoss::new(self.partition, Epsilon::uniform(self.epsilon).unwrap()).unwrap();
        loss.with_missing_labels(self.missing).unwrap()
    }
}

pub(crate) fn upload(client: &Client, values: &[f32]) -> Handle {
    client.create_from_slice(f32::as_bytes(values))
}

pub(crate) fn download(client: &Client, handle: Handle) -> Vec<f32> {
    f32::from_bytes(&client.read_one(handle).unwrap()).to_vec()
}

/// Pseudo-random in [0, 1), exact in f32: a multiplicative hash.
fn noise(k: usize) -> f32 {
    let hashed = (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((hashed ^ (hashed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / (1_u32 << 24) as f32
}

/// All differences are within `tolerance` of the largest expected value.
#[track_caller]
pub(crate) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: impl std::fmt::Debug) {
    assert_eq!(found.len(), expected.len(), "{what:?}: length");
    let scale = expected.iter().fold(f64::MIN_POSITIVE, |scale: f64, e| scale.max(e.abs()));
    for (k, (&found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs() / scale;
        assert!(error <= tolerance, "{what:?}, element {k}: {found} is not {expected} ({error:.1e})");
    }
}
