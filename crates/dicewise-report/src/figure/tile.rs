//! One picture of an overlay figure: a grey slice with contours.

use super::Colour;
use super::canvas::text_width;
use super::scene::{Anchor, Paint, Scene, Shape};
use crate::ReportError;

/// The outline of a mask, drawn along the edges of its pixels.
#[derive(Clone, Copy, Debug)]
pub struct Contour<'a> {
    /// The mask, row by row from the top.
    pub mask: &'a [bool],
    /// Colour of the line.
    pub colour: Colour,
    /// Thickness of the line in pixels of the figure.
    pub thickness: usize,
}

impl<'a> Contour<'a> {
    /// The ground truth: a broad sky blue line, so that a prediction on top of it hides only its middle.
    pub fn target(mask: &'a [bool]) -> Self {
        Self { mask, colour: Colour::SKY_BLUE, thickness: 6 }
    }

    /// A prediction: a thin orange line.
    pub fn prediction(mask: &'a [bool]) -> Self {
        Self { mask, colour: Colour::ORANGE, thickness: 2 }
    }
}

/// A grey slice with contours.
#[derive(Clone, Debug)]
pub struct Tile<'a> {
    /// Grey values, row by row from the top; shown from their 1st to their 99.5th percentile.
    pub grey: &'a [f32],
    /// Pixels in a row.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
    /// Contours, later ones on top of earlier ones.
    pub contours: Vec<Contour<'a>>,
    /// A few words in the lower left corner, such as the DSC.
    pub note: Option<String>,
}

/// Part of a slice, in pixels of the slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crop {
    pub(crate) x: usize,
    pub(crate) y: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// A crop and how large it is drawn.
pub(crate) struct View {
    pub(crate) crop: Crop,
    /// Pixels of the figure along the longer side of the crop.
    pub(crate) longest: usize,
}

impl View {
    /// Distance in the figure of `n` pixels of the slice. Not a whole factor: tiles of all sizes fill their place.
    pub(crate) fn at(&self, n: usize) -> i64 {
        (n * self.longest / self.crop.width.max(self.crop.height)) as i64
    }

    /// [`Self::at`], not rounded: pixels and contours are rounded in one place, when they are drawn.
    fn exactly(&self, n: usize) -> f32 {
        n as f32 * self.longest as f32 / self.crop.width.max(self.crop.height) as f32
    }
}

impl Tile<'_> {
    pub(crate) fn check(&self, place: &str) -> Result<(), ReportError> {
        let pixels = self.width.saturating_mul(self.height);
        let refuse = |what: &str, found: usize| {
            let problem = format!(
                "{what} of {place} has {found} pixels, not {} × {} = {pixels}",
                self.width, self.height
            );
            Err(ReportError::Figure { problem })
        };
        if pixels == 0 {
            return Err(ReportError::Figure { problem: format!("the slice of {place} has no pixels") });
        }
        if self.grey.len() != pixels {
            return refuse("the slice", self.grey.len());
        }
        match self.contours.iter().find(|contour| contour.mask.len() != pixels) {
            Some(contour) => refuse("a mask", contour.mask.len()),
            None => Ok(()),
        }
    }

    /// First and one past the last column and row that the first contour reaches: `[x0, y0, x1, y1]`.
    pub(crate) fn content(&self) -> Option<[usize; 4]> {
        let mask = self.contours.first()?.mask.iter().enumerate();
        let inside = mask.filter(|(_, inside)| **inside).map(|(i, _)| (i % self.width, i / self.width));
        inside.fold(None, |bounds, (x, y)| {
            let [x0, y0, x1, y1] = bounds.unwrap_or([x, y, x + 1, y + 1]);
            Some([x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)])
        })
    }

    /// Draws the part of the tile that `view` shows, with its upper left corner at (left, top).
    pub(crate) fn draw(&self, scene: &mut Scene, view: &View, left: i64, top: i64) {
        let crop = view.crop;
        let (x, y) = (left as f32, top as f32);
        let frame = [x, y, view.exactly(crop.width), view.exactly(crop.height)];
        let window = GreyWindow::of(self.grey);
        let rows = (0..crop.height).map(|row| (crop.y + row) * self.width + crop.x);
        let grey =
            rows.flat_map(|from| &self.grey[from..from + crop.width]).map(|&v| window.show(v)).collect();
        scene.shapes.push(Shape::Pixels { rect: frame, columns: crop.width, grey });
        for contour in &self.contours {
            // On slices that are hardly enlarged a broad line would hide what it surrounds.
            let width = (contour.thickness as i64).min(view.at(1).max(4)) as f32;
            let place = |column: usize, row: usize| [x + view.exactly(column), y + view.exactly(row)];
            let ends = |edge: Edge| {
                let Edge { x, y, horizontal } = edge;
                let [x0, y0] = place(x, y);
                let [x1, y1] = if horizontal { place(x + 1, y) } else { place(x, y + 1) };
                [x0, y0, x1, y1]
            };
            let lines = self.edges(contour.mask, crop).into_iter().map(ends).collect();
            let paint = Paint::solid(contour.colour);
            scene.shapes.push(Shape::Edges { lines, width, within: frame, paint });
        }
        if let Some(note) = &self.note {
            let (size, bottom) = (19.0, y + frame[3]);
            let width = (text_width(size, note).ceil() + 16.0).min(frame[2]);
            scene.fill(x, bottom - 30.0, width, 30.0, Paint::Colour(Colour::BLACK, 0.65));
            let white = Paint::solid(Colour::WHITE);
            scene.text((x + 8.0, bottom - 15.0), size, Anchor::Start, white, note.as_str());
        }
    }

    /// Pixel edges between mask and outside, relative to the crop.
    fn edges(&self, mask: &[bool], crop: Crop) -> Vec<Edge> {
        let inside = |x: Option<usize>, y: Option<usize>| match (x, y) {
            (Some(x), Some(y)) if x < self.width && y < self.height => mask[y * self.width + x],
            _ => false,
        };
        let mut edges = Vec::new();
        for y in 0..=crop.height {
            for x in 0..=crop.width {
                let (px, py) = (crop.x + x, crop.y + y);
                let here = inside(Some(px), Some(py));
                if x < crop.width && here != inside(Some(px), py.checked_sub(1)) {
                    edges.push(Edge { x, y, horizontal: true });
                }
                if y < crop.height && here != inside(px.checked_sub(1), Some(py)) {
                    edges.push(Edge { x, y, horizontal: false });
                }
            }
        }
        edges
    }
}

/// The upper or left edge of a pixel.
struct Edge {
    x: usize,
    y: usize,
    horizontal: bool,
}

/// The grey values shown as black and as white.
struct GreyWindow {
    black: f32,
    white: f32,
}

impl GreyWindow {
    fn of(grey: &[f32]) -> Self {
        let mut sorted: Vec<f32> = grey.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f32::total_cmp);
        if sorted.is_empty() {
            return Self { black: 0.0, white: 0.0 };
        }
        let percentile = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
        Self { black: percentile(0.01), white: percentile(0.995) }
    }

    fn show(&self, value: f32) -> u8 {
        let range = self.white - self.black;
        // A constant slice is shown black, like NaN.
        let relative = if range > 0.0 { (value - self.black) / range } else { 0.0 };
        (relative.clamp(0.0, 1.0) * 255.0).round() as u8
    }
}
