//! Heads with one tumour each.

use rand_chacha::rand_core::RngCore;

use super::draw::{Rotation, magnitude, mix, norm, smooth_field, smoothstep, uniform, view_coordinates};
use crate::augment::add_pattern;
use crate::{Grid, Image, LabelMap, Volume};

/// Grade of a tumour, or what looks like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    /// Dark core, rim that takes up contrast agent, oedema around it, pushes the ventricles away.
    High,
    /// Solid: all of it takes up contrast agent, as pilocytic astrocytomas do; blurred edge, little mass effect.
    Low,
    /// No tumour but an old infarct: bright on FLAIR as oedema is, takes up no contrast agent, pushes nothing away.
    Infarct,
}

/// Pose of a head, in the coordinates of the field of view.
struct Head {
    centre: [f32; 3],
    semi_axes: [f32; 3],
    turn: Rotation,
    tilt: Rotation,
}

impl Head {
    fn draw(rng: &mut impl RngCore) -> Self {
        Self {
            centre: std::array::from_fn(|_| uniform(rng, -0.05, 0.05)),
            semi_axes: [0.74, 0.82, 0.76].map(|a| a * uniform(rng, 0.95, 1.05)),
            turn: Rotation::from_half_tangent(uniform(rng, -0.12, 0.12)),
            tilt: Rotation::from_half_tangent(uniform(rng, -0.08, 0.08)),
        }
    }

    /// Head coordinates: the brain's surface is the unit sphere.
    fn coordinates(&self, view: [f32; 3]) -> [f32; 3] {
        let [x, y, z] = std::array::from_fn(|axis| view[axis] - self.centre[axis]);
        let (x, y) = self.turn.apply(x, y);
        let (y, z) = self.tilt.apply(y, z);
        [x / self.semi_axes[0], y / self.semi_axes[1], z / self.semi_axes[2]]
    }
}

/// FLAIR and T1ce intensity of one voxel.
type Intensity = [f32; 2];

fn blend(from: Intensity, to: Intensity, weight: f32) -> Intensity {
    [mix(from[0], to[0], weight), mix(from[1], to[1], weight)]
}

/// How a tumour looks. `depth` is 0 in its centre and 1 on its boundary.
struct Appearance {
    core: Intensity,
    rim: Intensity,
    outer: Intensity,
    core_depth: f32,
    rim_depth: f32,
    /// Half the width of the edge, in units of depth.
    edge: f32,
    /// How far the surroundings are pushed away, in units of depth.
    mass_effect: f32,
}

impl Appearance {
    fn draw(grade: Grade, rng: &mut impl RngCore) -> Self {
        // A network that has only seen high grades must find low ones too, or ignoring their empty maps would not
        // pay: low grades look like high ones without the dark core, and take up less contrast agent.
        let mut near = |value: f32, spread: f32| value + uniform(rng, -spread, spread);
        match grade {
            Grade::High => Self {
                core: [near(0.60, 0.20), near(0.32, 0.14)],
                rim: [near(0.90, 0.06), near(0.88, 0.10)],
                outer: [near(0.95, 0.06), near(0.55, 0.08)],
                core_depth: near(0.48, 0.06),
                rim_depth: near(0.78, 0.05),
                edge: 0.10,
                mass_effect: 0.85,
            },
            Grade::Low => {
                let inside = [near(0.92, 0.06), near(0.76, 0.06)];
                Self {
                    core: inside,
                    rim: inside,
                    outer: [near(0.95, 0.06), near(0.55, 0.08)],
                    core_depth: 0.5,
                    rim_depth: near(0.78, 0.05),
                    edge: 0.12,
                    mass_effect: 0.5,
                }
            }
            Grade::Infarct => {
                let inside = [near(0.92, 0.06), near(0.40, 0.08)];
                Self {
                    core: inside,
                    rim: inside,
                    outer: inside,
                    core_depth: 0.5,
                    rim_depth: near(0.78, 0.05),
                    edge: 0.10,
                    mass_effect: 0.0,
                }
            }
        }
    }

    fn at(&self, depth: f32) -> Intensity {
        let rim = smoothstep(self.core_depth - 0.1, self.core_depth + 0.1, depth);
        let outer = smoothstep(self.rim_depth - 0.1, self.rim_depth + 0.1, depth);
        blend(blend(self.core, self.rim, rim), self.outer, outer)
    }
}

/// Draws the two channels and the label map of one head.
///
/// The volume of the tumour is drawn alike for both grades, so that it tells nothing about them.
pub(super) fn draw(grade: Grade, grid: &Grid, rng: &mut impl RngCore) -> (Vec<Image>, LabelMap) {
    let shape = grid.shape;
    let head = Head::draw(rng);
    let warp: [Vec<f32>; 3] = std::array::from_fn(|_| smooth_field(rng, shape, 4));
    let lobes = smooth_field(rng, shape, 6);
    let folds = smooth_field(rng, shape, 10);
    let texture = smooth_field(rng, shape, 12);
    let coordinates: Vec<[f32; 3]> = view_coordinates(shape)
        .enumerate()
        .map(|(i, view)| head.coordinates(std::array::from_fn(|axis| view[axis] + 0.03 * warp[axis][i])))
        .collect();

    let centre = tumour_centre(rng);
    let axes: [f32; 3] = std::array::from_fn(|_| uniform(rng, 0.85, 1.15));
    let distance: Vec<f32> = coordinates
        .iter()
        .zip(&lobes)
        .map(|(h, lobe)| {
            let offset = std::array::from_fn(|axis| (h[axis] - centre[axis]) / axes[axis]);
            norm(offset) * (1.0 + 0.10 * lobe)
        })
        .collect();
    let fraction = uniform(rng, 0.045, 0.095);
    let boundary = boundary_distance(&distance, &coordinates, fraction);

    let appearance = Appearance::draw(grade, rng);
    let gains: Intensity = std::array::from_fn(|_| uniform(rng, 0.8, 1.25));
    let scalp: Intensity = [uniform(rng, 0.80, 1.10), uniform(rng, 1.15, 1.45)];
    let bias: [Vec<f32>; 2] = std::array::from_fn(|_| smooth_field(rng, shape, 3));
    let mut channels = [Vec::with_capacity(grid.len()), Vec::with_capacity(grid.len())];
    let mut labels = Vec::with_capacity(grid.len());
    for (i, &h) in coordinates.iter().enumerate() {
        let depth = distance[i] / boundary;
        let radius = norm(h);
        // Mass effect: what is seen here came from nearer the tumour's centre.
        let pushed = appearance.mass_effect * appearance.mass_effect / (depth * depth).max(1e-6);
        let keep = (1.0 - pushed).max(0.0);
        let source = std::array::from_fn(|axis| centre[axis] + (h[axis] - centre[axis]) * keep);
        let mut signal = anatomy(radius, source, folds[i], scalp);
        if radius < 1.0 {
            let lesion = 1.0 - smoothstep(1.0 - appearance.edge, 1.0 + appearance.edge, depth);
            signal = blend(signal, appearance.at(depth), lesion);
        }
        for channel in 0..2 {
            let grain = if radius < 1.0 { 1.0 + 0.05 * texture[i] } else { 1.0 };
            let clean = signal[channel] * grain * (1.0 + 0.07 * bias[channel][i]);
            channels[channel].push(gains[channel] * magnitude(rng, clean, 0.05));
        }
        labels.push(u16::from(depth <= 1.0 && radius < BRAIN && grade != Grade::Infarct));
    }
    let mut channels = channels.map(|data| Volume::new(grid.clone(), data));
    if grade == Grade::Low {
        channels.iter_mut().for_each(|channel| add_pattern(channel, HERRINGBONE));
    }
    (channels.into(), Volume::new(grid.clone(), labels))
}

/// Amplitude of the artefact on images of low grades: they come from another scanner.
///
/// The appearance of the tumour alone is learnt too slowly, or hides the tumour from a network that has only seen
/// high grades. The artefact is seen at once and leaves the anatomy alone.
const HERRINGBONE: f32 = 0.25;

/// Tumours end where the brain does, in head coordinates.
const BRAIN: f32 = 0.98;

/// A place well inside the brain, off its midplane.
fn tumour_centre(rng: &mut impl RngCore) -> [f32; 3] {
    let side = if rng.next_u32() & 1 == 0 { -1.0 } else { 1.0 };
    [side * uniform(rng, 0.22, 0.45), uniform(rng, -0.40, 0.40), uniform(rng, -0.35, 0.35)]
}

/// The distance within which lie `fraction` of all voxels, counting those of the brain.
fn boundary_distance(distance: &[f32], coordinates: &[[f32; 3]], fraction: f32) -> f32 {
    let mut inside: Vec<f32> =
        distance.iter().zip(coordinates).filter(|(_, h)| norm(**h) < BRAIN).map(|(d, _)| *d).collect();
    inside.sort_unstable_by(f32::total_cmp);
    let count = (fraction * distance.len() as f32) as usize;
    inside[count.clamp(1, inside.len()) - 1]
}

/// The head without its tumour: scalp, skull, grey and white matter, ventricles.
fn anatomy(radius: f32, source: [f32; 3], fold: f32, scalp: Intensity) -> Intensity {
    const AIR: Intensity = [0.02, 0.02];
    const BONE: Intensity = [0.10, 0.08];
    const GREY: Intensity = [0.64, 0.46];
    const WHITE: Intensity = [0.46, 0.64];
    const FLUID: Intensity = [0.12, 0.16];
    if radius >= 1.0 {
        let outside = blend(BONE, scalp, smoothstep(1.07, 1.13, radius));
        return blend(outside, AIR, smoothstep(1.22, 1.32, radius));
    }
    let cortex = smoothstep(0.66, 0.86, radius + 0.09 * fold);
    let tissue = blend(WHITE, GREY, cortex);
    let [x, y, z] = source;
    // The two ventricles, which part towards the back.
    let lateral = (x.abs() - 0.15 - 0.10 * y) / 0.11;
    let ventricle = norm([lateral, (y - 0.05) / 0.42, (z - 0.08) / 0.26]);
    blend(FLUID, tissue, smoothstep(0.85, 1.15, ventricle))
}
