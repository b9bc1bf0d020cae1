//! A picture in memory: rectangles, smooth text, PNG.

use std::collections::HashMap;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};

use super::Colour;
use crate::ReportError;

/// The letters a caption may need, Latin and Greek; see `fonts/LICENSE_DEJAVU`.
const FONT: &[u8] = include_bytes!("../../fonts/DejaVuSans-subset.ttf");

/// Longest side of a figure in pixels: a mistake in the input should not ask for gigabytes.
const LARGEST: usize = 20_000;

pub(crate) struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// A rectangle in pixels; it may reach beyond the canvas.
#[derive(Clone, Copy)]
pub(crate) struct Rect {
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) width: i64,
    pub(crate) height: i64,
}

impl Rect {
    /// The part inside `frame`.
    pub(crate) fn within(self, frame: Rect) -> Rect {
        let (x, y) = (self.x.max(frame.x), self.y.max(frame.y));
        let right = (self.x + self.width).min(frame.x + frame.width);
        let bottom = (self.y + self.height).min(frame.y + frame.height);
        Rect { x, y, width: (right - x).max(0), height: (bottom - y).max(0) }
    }
}

impl Canvas {
    /// A white canvas.
    pub(crate) fn new(width: usize, height: usize) -> Result<Self, ReportError> {
        if width > LARGEST || height > LARGEST {
            let problem =
                format!("{width}×{height} pixels, at most {LARGEST} a side; show fewer rows or columns");
            return Err(ReportError::Figure { problem });
        }
        Ok(Self { width, height, rgb: vec![255; width * height * 3] })
    }

    /// Lays `colour` over a rectangle; opacity 1 hides what was there.
    pub(crate) fn fill(&mut self, rect: Rect, colour: Colour, opacity: f32) {
        let clip = |from: i64, length: i64, limit: usize| {
            let limit = limit as i64;
            (from.clamp(0, limit) as usize)..((from + length).clamp(0, limit) as usize)
        };
        for y in clip(rect.y, rect.height, self.height) {
            for x in clip(rect.x, rect.width, self.width) {
                self.blend(x, y, colour, opacity);
            }
        }
    }

    /// Lays a smooth disc over the picture.
    pub(crate) fn disc(&mut self, x: f32, y: f32, radius: f32, colour: Colour, opacity: f32) {
        let span = |centre: f32, limit: usize| {
            let from = (centre - radius - 1.0).floor().max(0.0) as usize;
            from..((centre + radius + 1.0).ceil().max(0.0) as usize).min(limit)
        };
        for py in span(y, self.height) {
            for px in span(x, self.width) {
                let distance = (px as f32 + 0.5 - x).hypot(py as f32 + 0.5 - y);
                let coverage = (radius + 0.5 - distance).clamp(0.0, 1.0);
                self.blend(px, py, colour, coverage * opacity);
            }
        }
    }

    fn blend(&mut self, x: usize, y: usize, colour: Colour, opacity: f32) {
        let at = (y * self.width + x) * 3;
        for (channel, over) in self.rgb[at..at + 3].iter_mut().zip(colour.0) {
            let under = f32::from(*channel);
            *channel = (under + (f32::from(over) - under) * opacity).round() as u8;
        }
    }

    /// Lays smooth strokes over the picture; where strokes of one call meet, they cover once.
    pub(crate) fn strokes(&mut self, pieces: &[[(f32, f32); 2]], width: f32, colour: Colour, opacity: f32) {
        let reach = width / 2.0 + 1.0;
        let mut covered: HashMap<(usize, usize), f32> = HashMap::new();
        for &[a, b] in pieces {
            let span = |a: f32, b: f32, limit: usize| {
                let from = (a.min(b) - reach).floor().max(0.0) as usize;
                from..((a.max(b) + reach).ceil().max(0.0) as usize).min(limit)
            };
            let (dx, dy) = (b.0 - a.0, b.1 - a.1);
            let square = (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
            for y in span(a.1, b.1, self.height) {
                for x in span(a.0, b.0, self.width) {
                    let (px, py) = (x as f32 + 0.5 - a.0, y as f32 + 0.5 - a.1);
                    let along = ((px * dx + py * dy) / square).clamp(0.0, 1.0);
                    let distance = (px - along * dx).hypot(py - along * dy);
                    let coverage = (width / 2.0 + 0.5 - distance).clamp(0.0, 1.0).min(width);
                    if coverage > 0.0 {
                        let before = covered.entry((x, y)).or_default();
                        *before = before.max(coverage);
                    }
                }
            }
        }
        for ((x, y), coverage) in covered {
            self.blend(x, y, colour, coverage * opacity);
        }
    }

    /// Writes one line of text of `size` pixels, its left end at `x`, its capitals centred on `y`.
    pub(crate) fn text(&mut self, x: f32, y: f32, size: f32, colour: Colour, opacity: f32, text: &str) {
        for_each_pixel(size, text, x, y, |px, py, coverage| self.cover(px, py, colour, coverage * opacity));
    }

    /// As [`Self::text`], read from bottom to top: its left end is at `y`, its capitals are centred on `x`.
    pub(crate) fn text_upwards(
        &mut self,
        x: f32,
        y: f32,
        size: f32,
        colour: Colour,
        opacity: f32,
        text: &str,
    ) {
        // A quarter turn of whole pixels loses nothing: (along, across) becomes (across, −along).
        let (left, top) = (x.round() as i64, y.round() as i64);
        for_each_pixel(size, text, 0.0, 0.0, |along, across, coverage| {
            self.cover(left + across, top - along - 1, colour, coverage * opacity);
        });
    }

    /// [`Self::blend`], of a pixel that may lie outside.
    fn cover(&mut self, x: i64, y: i64, colour: Colour, opacity: f32) {
        if (0..self.width as i64).contains(&x) && (0..self.height as i64).contains(&y) {
            self.blend(x as usize, y as usize, colour, opacity);
        }
    }

    /// The picture as a PNG file.
    pub(crate) fn to_png(&self) -> Vec<u8> {
        encode(self.width, &self.rgb, png::ColorType::Rgb)
    }
}

/// A grey picture as a PNG file, rows from the top.
pub(crate) fn grey_png(columns: usize, grey: &[u8]) -> Vec<u8> {
    encode(columns, grey, png::ColorType::Grayscale)
}

fn encode(width: usize, samples: &[u8], colour: png::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let height = samples.len() / (width * colour.samples());
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(samples))
        .expect("writing to memory does not fail");
    bytes
}

/// Hands over the pixels that the letters of a line cover, and how much of each.
fn for_each_pixel(size: f32, text: &str, x: f32, y: f32, mut cover: impl FnMut(i64, i64, f32)) {
    let font = font();
    let scaled = font.as_scaled(PxScale::from(size));
    // Capitals of DejaVu Sans are 0.729 em high, and an em is `size` over its line height of 1.164.
    let baseline = y + 0.5 * 0.729 * size / 1.164;
    let mut pen = x;
    let mut previous = None;
    for c in text.chars() {
        let id = scaled.glyph_id(c);
        pen += previous.map_or(0.0, |previous| scaled.kern(previous, id));
        if let Some(outline) = font.outline_glyph(id.with_scale_and_position(size, point(pen, baseline))) {
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, coverage| {
                let (px, py) = (bounds.min.x as i64 + i64::from(dx), bounds.min.y as i64 + i64::from(dy));
                cover(px, py, coverage.min(1.0));
            });
        }
        pen += scaled.h_advance(id);
        previous = Some(id);
    }
}

fn font() -> FontRef<'static> {
    FontRef::try_from_slice(FONT).expect("the embedded font is a font")
}

/// Width of a line of text in pixels.
pub(crate) fn text_width(size: f32, text: &str) -> f32 {
    let font = font();
    let scaled = font.as_scaled(PxScale::from(size));
    let ids: Vec<_> = text.chars().map(|c| scaled.glyph_id(c)).collect();
    let kerning: f32 = ids.windows(2).map(|pair| scaled.kern(pair[0], pair[1])).sum();
    ids.iter().map(|&id| scaled.h_advance(id)).sum::<f32>() + kerning
}
