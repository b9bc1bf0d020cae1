//! Intensities on a common scale.

use serde::{Deserialize, Serialize};

use crate::Image;

/// Which voxels a z-score is computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZScoreOver {
    /// All voxels.
    Volume,
    /// Voxels that are not 0; zeros stay 0. For images whose background was cut away, such as BRATS.
    Nonzero,
}

/// Brings an image to mean 0 and standard deviation 1.
///
/// ```text
/// x ← (x − μ) / σ
/// ```
/// where μ and σ = √(Σ(x − μ)²/n) are those of the voxels that `over` names. A constant image (σ = 0) becomes 0.
pub fn z_score(image: &mut Image, over: ZScoreOver) {
    let counts = |x: f32| over == ZScoreOver::Volume || x != 0.0;
    let chosen = || image.data.iter().copied().filter(|x| counts(*x)).map(f64::from);
    let n = chosen().count() as f64;
    if n == 0.0 {
        return;
    }
    let mean = chosen().sum::<f64>() / n;
    let deviation = (chosen().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt();
    // Rounding leaves a constant image with a deviation of about 1e-16 of its value instead of 0.
    let scale = if deviation > mean.abs() * 1e-12 { 1.0 / deviation } else { 0.0 };
    for x in image.data.iter_mut().filter(|x| counts(**x)) {
        *x = ((f64::from(*x) - mean) * scale) as f32;
    }
}

/// The value below which lies a share `q` of the values: value i of the sorted ones (from 0) is the quantile
/// (i + ½)/n, between them by linear interpolation. MATLAB's `quantile`, numpy's method `hazen`.
///
/// # Panics
/// If there are no values or `q` lies outside [0, 1], which is a bug of the caller.
pub fn quantile(values: &[f32], q: f64) -> f32 {
    assert!(!values.is_empty() && (0.0..=1.0).contains(&q), "quantile {q} of {} values", values.len());
    let mut values = values.to_vec();
    let rank = (q * values.len() as f64 - 0.5).clamp(0.0, (values.len() - 1) as f64);
    let below = rank.floor() as usize;
    let (_, low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let low = f64::from(*low);
    let high = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
    (low + (high - low) * (rank - below as f64)) as f32
}

/// Moves values beyond two quantiles of the image to them. NaN, which is outside of the image, does not count.
pub fn clip_to_quantiles(image: &mut Image, low: f64, high: f64) {
    let inside: Vec<f32> = image.data.iter().copied().filter(|x| !x.is_nan()).collect();
    if inside.is_empty() {
        return;
    }
    let bounds = [quantile(&inside, low), quantile(&inside, high)];
    for x in &mut image.data {
        *x = x.clamp(bounds[0], bounds[1].max(bounds[0]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, Volume};

    fn image(data: Vec<f32>) -> Image {
        Volume::new(Grid::axis_aligned([data.len(), 1, 1], [1.0; 3]), data)
    }

    #[test]
    fn z_score_agrees_with_numpy() {
        // numpy 2.4.6: a = np.array([0, 1, 2, 0, 5, -3.5]); (a - a.mean()) / a.std()
        let mut a = image(vec![0.0, 1.0, 2.0, 0.0, 5.0, -3.5]);
        z_score(&mut a, ZScoreOver::Volume);
        let expected = [-0.294_646_77, 0.098_215_59, 0.491_077_95, -0.294_646_77, 1.669_665, -1.669_665];
        assert!(a.data.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-6), "{:?}", a.data);
    }

    #[test]
    fn zeros_stay_zero_when_only_other_voxels_count() {
        // numpy 2.4.6: b = a[a != 0]; (b - b.mean()) / b.std(), a as above
        let mut a = image(vec![0.0, 1.0, 2.0, 0.0, 5.0, -3.5]);
        z_score(&mut a, ZScoreOver::Nonzero);
        let expected = [0.0, -0.040_996_003, 0.286_972_02, 0.0, 1.270_876, -1.516_852_1];
        assert!(a.data.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-6), "{:?}", a.data);
    }

    #[test]
    fn constant_and_empty_images_become_zero_not_nan() {
        let mut constant = image(vec![0.1; 7]);
        z_score(&mut constant, ZScoreOver::Volume);
        assert_eq!(constant.data, vec![0.0; 7]);
        let mut empty = image(vec![0.0; 7]);
        z_score(&mut empty, ZScoreOver::Nonzero);
        assert_eq!(empty.data, vec![0.0; 7]);
    }

    #[test]
    fn quantiles_agree_with_numpy() {
        // numpy 2.4.6: np.quantile([3, -1, 7, 7, 0.5, 2], q, method="hazen")
        let values = [3.0, -1.0, 7.0, 7.0, 0.5, 2.0];
        for (q, expected) in [(0.0, -1.0), (0.1, -0.85), (0.25, 0.5), (0.5, 2.5), (0.7, 5.8), (1.0, 7.0)] {
            assert!((quantile(&values, q) - expected).abs() < 1e-6, "{q}");
        }
    }

    #[test]
    fn clipping_touches_only_the_tails() {
        // Of 100 values, i is the quantile (i + ½)/100; what lies outside of the image is left out.
        let mut a = image((0..100).map(|i| i as f32).chain([f32::NAN]).collect());
        clip_to_quantiles(&mut a, 0.025, 0.975);
        assert_eq!((a.data[0], a.data[2], a.data[50], a.data[97], a.data[99]), (2.0, 2.0, 50.0, 97.0, 97.0));
        assert!(a.data[100].is_nan());
    }
}
