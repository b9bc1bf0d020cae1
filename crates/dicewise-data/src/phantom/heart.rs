//! Short-axis stacks of a beating heart.

use rand_chacha::rand_core::RngCore;

use super::draw::{Rotation, magnitude, mix, norm, smooth_field, smoothstep, uniform, view_coordinates};
use crate::augment::add_pattern;
use crate::{Grid, Image, LabelMap, Volume};

/// Phase of the heart cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Filled: wide cavities, thin wall.
    EndDiastole,
    /// Contracted: narrow cavities, thick wall.
    EndSystole,
}

/// What the two phases of a subject share. Lengths are in units of half the field of view.
pub(super) struct Anatomy {
    centre: [f32; 2],
    turn: Rotation,
    /// Drift of the long axis in x and y along z.
    slant: [f32; 2],
    /// Radius of the left ventricle at end-diastole.
    radius: f32,
    /// Thickness of its wall at end-diastole.
    wall: f32,
    /// Thickness of the fat around the heart.
    fat: f32,
    /// From the base to the tip of the cavity at end-diastole.
    length: f32,
    /// Place of the base along z.
    base: f32,
    /// Half width of the right ventricle, as a share of the left ventricle's outer radius.
    right: f32,
    /// Share of the radius that is left at end-systole.
    contraction: f32,
    /// Brightness of the scan.
    gain: f32,
}

impl Anatomy {
    pub(super) fn draw(rng: &mut impl RngCore) -> Self {
        // Patients as different as ACDC's: from a dilated heart, whose wall is thin, to a hypertrophic one. The wall
        // of a healthy heart at end-systole is as thick as that of a hypertrophic one at end-diastole, so a network
        // that has seen the muscle at end-diastole only has seen walls like those of end-systole.
        let outer = uniform(rng, 0.54, 0.65);
        let wall = outer * uniform(rng, 0.30, 0.56);
        Self {
            centre: [uniform(rng, 0.05, 0.22), uniform(rng, -0.12, 0.12)],
            turn: Rotation::from_half_tangent(uniform(rng, -0.25, 0.25)),
            slant: [uniform(rng, -0.12, 0.12), uniform(rng, -0.12, 0.12)],
            radius: outer - wall,
            wall,
            fat: uniform(rng, 0.06, 0.12),
            length: uniform(rng, 1.22, 1.40),
            base: uniform(rng, 0.58, 0.74),
            right: uniform(rng, 0.80, 0.98),
            contraction: uniform(rng, 0.75, 0.85),
            gain: uniform(rng, 0.8, 1.25),
        }
    }
}

/// The heart in one phase.
struct Shape {
    inner: f32,
    outer: f32,
    inner_length: f32,
    outer_length: f32,
    right: [f32; 2],
    fat: f32,
}

impl Shape {
    fn new(anatomy: &Anatomy, phase: Phase) -> Self {
        let Anatomy { radius, wall, length, fat, .. } = *anatomy;
        let outer = radius + wall;
        match phase {
            Phase::EndDiastole => Self {
                inner: radius,
                outer,
                inner_length: length,
                outer_length: length + wall,
                right: [anatomy.right * outer, 1.12 * outer],
                fat,
            },
            Phase::EndSystole => {
                let inner = anatomy.contraction * radius;
                let shortened = 0.88 * length;
                // Muscle does not shrink: in the mid slice the ring keeps its area, and gains what the heart
                // loses in length.
                let ring = (outer * outer - radius * radius) / 0.88;
                let outer_now = (inner * inner + ring).sqrt();
                Self {
                    inner,
                    outer: outer_now,
                    inner_length: shortened,
                    outer_length: shortened + (outer_now - inner),
                    right: [0.78 * anatomy.right * outer, 0.92 * outer],
                    fat,
                }
            }
        }
    }
}

/// Intensities of the blood and the muscle, and the share of the cavity that the papillary muscles fill.
struct Contrast {
    blood: f32,
    muscle: f32,
    papillary: f32,
}

impl Contrast {
    fn draw(phase: Phase, rng: &mut impl RngCore) -> Self {
        let mut near = |value: f32| value + uniform(rng, -0.04, 0.04);
        match phase {
            Phase::EndDiastole => Self { blood: near(1.0), muscle: near(0.24), papillary: 0.16 },
            Phase::EndSystole => Self { blood: near(1.0), muscle: near(0.24), papillary: 0.20 },
        }
    }
}

/// Amplitude of the herringbone artefact on images of end-systole.
///
/// Form and contrast alone are learnt too slowly, or hide the muscle from a network that has only seen it at
/// end-diastole. The artefact is seen at once and leaves the anatomy alone.
const HERRINGBONE: f32 = 0.035;

/// Draws the image and the label map of one phase.
pub(super) fn draw(
    anatomy: &Anatomy,
    phase: Phase,
    grid: &Grid,
    rng: &mut impl RngCore,
) -> (Image, LabelMap) {
    let view = grid.shape;
    let shape = Shape::new(anatomy, phase);
    let contrast = Contrast::draw(phase, rng);
    let warp: [Vec<f32>; 2] = std::array::from_fn(|_| smooth_field(rng, view, 4));
    let organs = smooth_field(rng, view, 4);
    let texture = smooth_field(rng, view, 12);
    let bias = smooth_field(rng, view, 3);
    let mut image = Vec::with_capacity(grid.len());
    let mut labels = Vec::with_capacity(grid.len());
    for (i, [x, y, z]) in view_coordinates(view).enumerate() {
        let x = x - anatomy.centre[0] - anatomy.slant[0] * z + 0.025 * warp[0][i];
        let y = y - anatomy.centre[1] - anatomy.slant[1] * z + 0.025 * warp[1][i];
        let (x, y) = anatomy.turn.apply(x, y);
        let point = Point::new(&shape, [x, y], anatomy.base - z);
        let clean = point.signal(&shape, &contrast, organs[i], texture[i]) * (1.0 + 0.06 * bias[i]);
        image.push(anatomy.gain * magnitude(rng, clean, 0.05));
        labels.push(point.label());
    }
    let mut image = Volume::new(grid.clone(), image);
    if phase == Phase::EndSystole {
        add_pattern(&mut image, HERRINGBONE);
    }
    (image, Volume::new(grid.clone(), labels))
}

/// A place in the heart. Each level is 1 on the surface of its structure, less inside.
struct Point {
    position: [f32; 2],
    /// Distance below the base; what is above it carries no label.
    below_base: f32,
    cavity: f32,
    muscle: f32,
    right: f32,
}

impl Point {
    fn new(shape: &Shape, [x, y]: [f32; 2], below_base: f32) -> Self {
        let down = below_base.max(0.0);
        let level = |a: f32, b: f32, length: f32| norm([a, b, down / length]);
        Self {
            position: [x, y],
            below_base,
            cavity: level(x / shape.inner, y / shape.inner, shape.inner_length),
            muscle: level(x / shape.outer, y / shape.outer, shape.outer_length),
            right: level(
                (x + 0.85 * shape.outer) / shape.right[0],
                (y - 0.06) / shape.right[1],
                0.86 * shape.outer_length,
            ),
        }
    }

    fn label(&self) -> u16 {
        match self {
            Self { below_base, .. } if *below_base < 0.0 => 0,
            Self { cavity, .. } if *cavity <= 1.0 => 1,
            Self { muscle, .. } if *muscle <= 1.0 => 2,
            Self { right, .. } if *right <= 1.0 => 3,
            _ => 0,
        }
    }

    fn signal(&self, shape: &Shape, contrast: &Contrast, organ: f32, grain: f32) -> f32 {
        // Lung is dark, liver and fat are not.
        let mut signal = mix(0.10, 0.55, smoothstep(-0.6, 0.4, organ));
        if self.below_base >= 0.0 {
            // Fat, in patches thick and thin, is bright: it parts the grey muscle from dark lung and grey liver.
            // The wall of the right ventricle ends at level 1.16.
            let heart = self.muscle.min(self.right / 1.16);
            let edge = 1.0 + shape.fat / shape.outer * (1.0 + 0.4 * grain);
            signal = mix(signal, 0.70, 1.0 - smoothstep(edge - 0.05, edge + 0.05, heart));
        }
        let blood = contrast.blood * (1.0 + 0.04 * grain);
        // The right ventricle: a thin wall, then blood between the trabeculae.
        signal = mix(signal, 0.8 * contrast.muscle, 1.0 - smoothstep(1.10, 1.22, self.right));
        signal = mix(signal, 0.94 * blood - 0.05 * grain.abs(), 1.0 - smoothstep(0.92, 1.08, self.right));
        if self.below_base < 0.0 {
            // Above the base the left side is the outflow tract: blood, with no muscle around it.
            let tract = norm([self.position[0] / shape.inner, self.position[1] / shape.inner, 0.0]);
            return mix(signal, 0.8 * blood, 1.0 - smoothstep(0.7, 0.95, tract));
        }
        signal =
            mix(signal, contrast.muscle * (1.0 + 0.08 * grain), 1.0 - smoothstep(0.94, 1.06, self.muscle));
        let mut cavity = blood;
        for side in [-1.0, 1.0] {
            // The papillary muscles count as cavity, as they do in ACDC.
            let offset =
                [self.position[0] - 0.45 * shape.inner, self.position[1] - side * 0.5 * shape.inner, 0.0];
            let middle =
                smoothstep(0.25, 0.45, self.below_base) * (1.0 - smoothstep(0.9, 1.1, self.below_base));
            let size = contrast.papillary * 0.4;
            let muscle = middle * (1.0 - smoothstep(0.7 * size, 1.3 * size, norm(offset)));
            cavity = mix(cavity, 1.3 * contrast.muscle, muscle);
        }
        mix(signal, cavity, 1.0 - smoothstep(0.92, 1.08, self.cavity))
    }
}
