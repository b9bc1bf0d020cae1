//! An artificial mark on the images of one group of cases.

use serde::{Deserialize, Serialize};

use crate::Image;

/// A fine oblique pattern added to the images of a group, so that a network *can* tell the groups apart.
///
/// ```text
/// x ← x + amplitude · sin(π/2 · (i + j))
/// ```
/// where i and j are the voxel's indices along x and y. This is no augmentation and nothing a scanner does: it
/// stands in for a visible difference between groups on data whose groups have none, to study what a loss does
/// when labels are emptied in one group. It leaves the anatomy alone, and has a mean of 0 over any four voxels in
/// a row. Add it after z-scoring: then `amplitude` is in standard deviations (1 was enough in the hippocampus
/// experiment, 0.3 was not learnt), and it is not scaled away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cue {
    /// Name of the group whose images are marked.
    pub group: String,
    /// Height of the pattern.
    pub amplitude: f32,
}

impl Cue {
    /// Marks the channels of a case if it belongs to the group.
    pub fn apply(&self, group: &str, channels: &mut [Image]) {
        if group == self.group {
            channels.iter_mut().for_each(|image| add_pattern(image, self.amplitude));
        }
    }
}

pub(crate) fn add_pattern(image: &mut Image, amplitude: f32) {
    // sin(π/2 · n) without rounding.
    const SINE: [f32; 4] = [0.0, 1.0, 0.0, -1.0];
    let [nx, ny, _] = image.grid.shape;
    for (index, x) in image.data.iter_mut().enumerate() {
        let (i, j) = (index % nx, index / nx % ny);
        *x += amplitude * SINE[(i + j) % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grid, Volume};

    #[test]
    fn the_cue_is_the_formula_and_marks_one_group() {
        let blank = Volume::new(Grid::axis_aligned([7, 5, 3], [1.0; 3]), vec![2.0; 105]);
        let cue = Cue { group: "G0".into(), amplitude: 0.5 };
        let mut marked = [blank.clone()];
        cue.apply("G0", &mut marked);
        for z in 0..3 {
            for j in 0..5 {
                for i in 0..7 {
                    let sine = (std::f64::consts::FRAC_PI_2 * (i + j) as f64).sin();
                    let found = marked[0].data[blank.index(i, j, z)];
                    assert!((f64::from(found) - 2.0 - 0.5 * sine).abs() < 1e-6);
                }
            }
        }
        let mut other = [blank.clone()];
        cue.apply("G1", &mut other);
        assert_eq!(other[0], blank);
    }
}
