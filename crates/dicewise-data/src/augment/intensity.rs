//! Changes of the channels' values; the target stays.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::patch::Patch;

/// x ← (x + a)·b, with one a and one b for all channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntensityChange {
    /// What is added.
    pub shift: f64,
    /// What is multiplied with.
    pub scale: f64,
}

impl IntensityChange {
    /// Draws a ~ N(0, `shift`²) and b ~ N(1, `scale`²).
    pub fn draw(rng: &mut impl Rng, shift: f64, scale: f64) -> Self {
        let [a, b]: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(rng));
        Self { shift: shift * a, scale: 1.0 + scale * b }
    }

    /// Changes all channels.
    pub fn apply(&self, patch: &mut Patch) {
        let (a, b) = (self.shift as f32, self.scale as f32);
        patch.channels.iter_mut().flatten().for_each(|x| *x = (*x + a) * b);
    }
}

/// Independent normal noise in every voxel of every channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    deviation: f32,
    seed: u64,
}

impl Noise {
    /// Draws noise of a standard deviation.
    pub fn draw(rng: &mut impl RngCore, deviation: f64) -> Self {
        Self { deviation: deviation as f32, seed: rng.next_u64() }
    }

    /// Adds the noise; the same to every patch of a shape.
    pub fn apply(&self, patch: &mut Patch) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for x in patch.channels.iter_mut().flatten() {
            let z: f32 = StandardNormal.sample(&mut rng);
            *x += self.deviation * z;
        }
    }
}
