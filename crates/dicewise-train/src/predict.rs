//! Class probabilities of a whole volume, window by window.
use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use crate::unet::UNet;

/// What turns logits into probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputActivation {
    /// One independent probability a channel: overlapping or single structures, no background channel.
    Sigmoid,
    /// Probabilities that sum to one over the channels; channel 0 is background.
    Softmax,
}

impl OutputActivation {
    /// Probabilities of logits `[B, C, Z, Y, X]`.
    pub fn apply(self, logits: Tensor<5>) -> Tensor<5> {
        match self {
            Self::Sigmoid => activation::sigmoid(logits),
            Self::Softmax => activation::softmax(logits, 1),
        }
    }
}

impl From<OutputActivation> for dicewise::Activation {
    fn from(activation: OutputActivation) -> Self {
        match activation {
            OutputActivation::Sigmoid => Self::Sigmoid,
            OutputActivation::Softmax => Self::Softmax,
        }
    }
}

/// A volume with channels, `[C, Z, Y, X]`, x fastest.
#[derive(Clone, Copy, Debug)]
pub struct Channels<'a> {
    /// The values.
    pub data: &'a [f32],
    /// Number of channels.
    pub channels: usize,
    /// Extent along x, y, z.
    pub shape: [usize; 3],
}

/// Probabilities `[C, Z, Y, X]` of a volume of any size.
///
/// The volume is covered with windows of `window` voxels (x, y, z) that overlap by half, zero-padded where it is
/// smaller than a window; where windows overlap, their probabilities are averaged. `window` must be a multiple of
/// [`UNetConfig::divisor`](crate::UNetConfig::divisor).
///
/// # Panics
/// If `volume.data` does not hold `channels · shape` values, which is a bug of the caller.
pub fn predict(
    network: &UNet,
    device: &Device,
    output: OutputActivation,
    volume: Channels<'_>,
    window: [usize; 3],
) -> Vec<f32> {
    let [nx, ny, nz] = volume.shape;
    let voxels = nx * ny * nz;
    assert_eq!(volume.data.len(), volume.channels * voxels, "one value a voxel and channel");
    let mut sum: Vec<f32> = Vec::new();
    let mut count = vec![0f32; voxels];
    for z0 in starts(nz, window[2]) {
        for y0 in starts(ny, window[1]) {
            for x0 in starts(nx, window[0]) {
                let origin = [x0, y0, z0];
                let input = cut(volume, origin, window);
                let shape = [1, volume.channels, window[2], window[1], window[0]];
                let input = Tensor::<5>::from_data(TensorData::new(input, shape), device);
                let probabilities = output.apply(network.forward(input)).into_data();
                let probabilities = probabilities.as_slice::<f32>().expect("probabilities are f32");
                let classes = probabilities.len() / window.iter().product::<usize>();
                sum.resize(classes * voxels, 0.0);
                for (z, y) in rows(volume.shape, origin, window) {
                    let length = window[0].min(nx - x0);
                    let to = x0 + nx * (y0 + y + ny * (z0 + z));
                    for class in 0..classes {
                        let from = window[0] * (y + window[1] * (z + window[2] * class));
                        let target = &mut sum[class * voxels + to..][..length];
                        for (s, p) in target.iter_mut().zip(&probabilities[from..]) {
                            *s += p;
                        }
                    }
                    count[to..to + length].iter_mut().for_each(|c| *c += 1.0);
                }
            }
        }
    }
    for class in sum.chunks_mut(voxels) {
        class.iter_mut().zip(&count).for_each(|(s, c)| *s /= c);
    }
    sum
}

/// First voxels of windows that cover `extent` and overlap by half; the last one ends at the border.
fn starts(extent: usize, window: usize) -> Vec<usize> {
    let last = extent.saturating_sub(window);
    let step = (window / 2).max(1);
    let mut starts: Vec<usize> = (0..last).step_by(step).collect();
    starts.push(last);
    starts
}

/// Rows (z, y) of a window that lie inside the volume.
fn rows(shape: [usize; 3], origin: [usize; 3], window: [usize; 3]) -> impl Iterator<Item = (usize, usize)> {
    let [_, height, depth] = std::array::from_fn(|axis| window[axis].min(shape[axis] - origin[axis]));
    (0..depth).flat_map(move |z| (0..height).map(move |y| (z, y)))
}

fn cut(volume: Channels<'_>, origin: [usize; 3], window: [usize; 3]) -> Vec<f32> {
    let [nx, ny, nz] = volume.shape;
    let mut patch = vec![0f32; volume.channels * window.iter().product::<usize>()];
    for channel in 0..volume.channels {
        for (z, y) in rows(volume.shape, origin, window) {
            let length = window[0].min(nx - origin[0]);
            let from = origin[0] + nx * (origin[1] + y + ny * (origin[2] + z + nz * channel));
            let to = window[0] * (y + window[1] * (z + window[2] * channel));
            patch[to..to + length].copy_from_slice(&volume.data[from..from + length]);
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unet::UNetConfig;

    #[test]
    fn windows_cover_every_voxel_and_end_at_the_border() {
        assert_eq!(starts(10, 4), [0, 2, 4, 6]);
        assert_eq!(starts(11, 4), [0, 2, 4, 6, 7]);
        assert_eq!(starts(4, 4), [0]);
        assert_eq!(starts(3, 4), [0]);
    }

    #[test]
    fn one_window_equals_the_network_itself() {
        let device = Device::flex();
        let network = UNetConfig::small(2, 3, 2, 2).init(1, &device);
        let data: Vec<f32> = (0..2 * 4 * 6 * 8).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
        let volume = Channels { data: &data, channels: 2, shape: [8, 6, 4] };
        let ours = predict(&network, &device, OutputActivation::Softmax, volume, [8, 6, 4]);
        let input = Tensor::<5>::from_data(TensorData::new(data.clone(), [1, 2, 4, 6, 8]), &device);
        let direct = OutputActivation::Softmax.apply(network.forward(input)).into_data();
        assert_eq!(ours, direct.try_to_vec::<f32>().unwrap());
    }

    #[test]
    fn softmax_probabilities_sum_to_one_on_a_volume_no_window_fits() {
        let device = Device::flex();
        let network = UNetConfig::small(1, 3, 2, 2).init(1, &device);
        let data: Vec<f32> = (0..5 * 7 * 3).map(|i| (i % 7) as f32).collect();
        let volume = Channels { data: &data, channels: 1, shape: [5, 7, 3] };
        let p = predict(&network, &device, OutputActivation::Softmax, volume, [4, 4, 4]);
        assert_eq!(p.len(), 3 * 105);
        for voxel in 0..105 {
            let total: f32 = (0..3).map(|class| p[class * 105 + voxel]).sum();
            assert!((total - 1.0).abs() < 1e-5, "voxel {voxel}: {total}");
        }
    }
}
