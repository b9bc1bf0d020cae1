use burn::tensor::{DType, Device, Tensor, TensorData};
use dicewise::{ClassWeights, DiceLoss, Epsilon, MissingLabels, MissingRule, Partition, Presence};
use dicewise_burn::SoftDiceLoss;
use dicewise_oracle::{Missing, Phi, Problem};

/// What a loss can be told, for three classes.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) partition: Partition,
    /// Numerator and denominator, one per class.
    pub(crate) eps: (Vec<f64>, Vec<f64>),
    pub(crate) weights: Vec<f64>,
    pub(crate) normalised: bool,
    pub(crate) missing: MissingLabels,
}

impl Setting {
    /// All combinations: Φ × ε (tiny, split, per class, per class and split) × weights × treatment.
    pub(crate) fn all() -> Vec<Self> {
        use MissingRule::{Declared, Inferred};
        let uniform = |n: f64, d: f64| (vec![n; 3], vec![d; 3]);
        let epsilons = [
            uniform(1e-7, 1e-7),
            uniform(0.0, 0.5),
            (vec![9.0, 4.0, 2.0], vec![9.0, 4.0, 2.0]),
            (vec![0.0, 4.0, 1.0], vec![9.0, 3.0, 2.0]),
        ];
        let weightings = [
            (vec![1.0, 1.0, 1.0], true),
            (vec![0.0, 1.0, 1.0], true),
            (vec![0.5, 2.0, 1.0], true),
            (vec![0.0, 1.0, 1.0], false),
        ];
        let treatments = [
            MissingLabels::AsEmpty,
            MissingLabels::Leaf(Declared),
            MissingLabels::Leaf(Inferred),
            MissingLabels::Marginal(Declared),
            MissingLabels::Marginal(Inferred),
        ];
        let mut all = Vec::new();
        for partition in Partition::ALL {
            for (e, eps) in epsilons.iter().enumerate() {
                for (w, (weights, normalised)) in weightings.iter().enumerate() {
                    for missing in treatments {
                        // Subsets that mix classes know one ε and may only switch a class off.
                        let refused = partition.mixes_classes() && (e >= 2 || w >= 2);
                        let without_background = missing.is_marginal() && weights[0] == 0.0;
                        if !refused && !without_background {
                            let (eps, weights, normalised) = (eps.clone(), weights.clone(), *normalised);
                            all.push(Self { partition, eps, weights, normalised, missing });
                        }
                    }
                }
            }
        }
        all
    }

    pub(crate) fn loss(&self) -> DiceLoss {
        let epsilon = match self.partition.mixes_classes() {
            true => Epsilon::new(self.eps.0[0], self.eps.1[0]),
            false => Epsilon::per_class_split(&self.eps.0, &self.eps.1),
        };
        let weights = match self.normalised {
            true => ClassWeights::normalised(self.weights.clone()),
            false => ClassWeights::unnormalised(self.weights.clone()),
        };
        let loss = DiceLoss::new(self.partition, epsilon.unwrap()).unwrap();
        loss.with_class_weights(weights.unwrap()).unwrap().with_missing_labels(self.missing).unwrap()
    }

    pub(crate) fn module(&self) -> SoftDiceLoss {
        SoftDiceLoss::new(self.loss())
    }

    /// The oracle's view of a batch under this setting.
    pub(crate) fn problem(&self, batch: &Batch) -> Problem {
        let phi = match self.partition {
            Partition::ImageWise => Phi::I,
            Partition::ClassWise => Phi::CI,
            Partition::BatchWise => Phi::BI,
            Partition::AllWise => Phi::BCI,
        };
        let mut problem = Problem::new(3, 3, batch.p.clone(), batch.y.clone(), phi, 0.0);
        (problem.eps_numerator, problem.eps_denominator) = self.eps.clone();
        problem.weights = self.weights.clone();
        problem.normalised = self.normalised;
        problem.annotated = batch.annotated.clone();
        problem.missing = match self.missing {
            MissingLabels::AsEmpty => Missing::AsEmpty,
            MissingLabels::Leaf(_) => Missing::Leaf,
            MissingLabels::Marginal(_) => Missing::Marginal,
        };
        if self.missing.rule() == Some(MissingRule::Inferred) {
            problem.infer_missing();
        }
        problem
    }
}

/// Three samples of three classes, `[B, C, I]`, values exact in f32. Sample 1 has class 1 declared missing and
/// class 2 empty but annotated, sample 2 has class 2 missing although its map is not empty, and class 1 is annotated
/// nowhere if `vanished`.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Extents after batch and classes.
    pub(crate) voxels: Vec<usize>,
    pub(crate) p: Vec<f64>,
    pub(crate) y: Vec<f64>,
    pub(crate) annotated: Vec<bool>,
}

impl Batch {
    pub(crate) fn new(voxels: &[usize], soft: bool, vanished: bool) -> Self {
        let size: usize = voxels.iter().product();
        let (mut p, mut y) = (vec![0.0; 9 * size], vec![0.0; 9 * size]);
        for b in 0..3 {
            for i in 0..size {
                let raw: Vec<f64> = (0..3).map(|c| 0.05 + noise(b * 7919 + c * 104_729 + i)).collect();
                let total: f64 = raw.iter().sum();
                let truth = (noise(b * 31 + i * 17 + 5) * 3.0) as usize;
                for (c, raw) in raw.into_iter().enumerate() {
                    let k = (b * 3 + c) * size + i;
                    p[k] = f64::from((raw / total) as f32);
                    let hard = f64::from(u8::from(truth == c));
                    y[k] = if soft { f64::from((0.7 * hard + 0.1) as f32) } else { hard };
                }
            }
        }
        let mut annotated = vec![true; 9];
        let mut empty = vec![(1, 1), (1, 2)];
        (annotated[3 + 1], annotated[6 + 2]) = (false, false);
        if vanished {
            empty.extend([(0, 1), (2, 1)]);
            (annotated[1], annotated[6 + 1]) = (false, false);
        }
        for (b, c) in empty {
            y[(b * 3 + c) * size..][..size].fill(0.0);
        }
        Self { voxels: voxels.to_vec(), p, y, annotated }
    }

    /// The batches that every setting is tried on.
    pub(crate) fn all(voxels: &[usize]) -> [Self; 4] {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(soft, vanished)| Self::new(voxels, soft, vanished))
    }

    pub(crate) fn dims(&self) -> Vec<usize> {
        [3, 3].into_iter().chain(self.voxels.iter().copied()).collect()
    }

    pub(crate) fn presence(&self) -> Presence {
        Presence::new(3, 3, self.annotated.clone()).unwrap()
    }

    pub(crate) fn tensor<const D: usize>(&self, values: &[f64], device: &Device, dtype: DType) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values.to_vec(), self.dims()), (device, dtype))
    }
}

/// Pseudo-random in [0, 1): Knuth's multiplicative hash.
fn noise(k: usize) -> f64 {
    let hashed = (k as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((hashed ^ (hashed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1_u64 << 53) as f64
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    // On the host, since not every device has f64.
    tensor.inner().into_data().convert::<f64>().try_into_vec().unwrap()
}

/// All differences are within `tolerance` of the largest expected value.
#[track_caller]
pub(crate) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: impl std::fmt::Debug) {
    assert_eq!(found.len(), expected.len(), "{what:?}: length");
    let scale = expected.iter().fold(f64::MIN_POSITIVE, |scale: f64, e| scale.max(e.abs()));
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs() / scale;
        assert!(error <= tolerance, "{what:?}, element {k}: {found} is not {expected} ({error:.1e})");
    }
}
