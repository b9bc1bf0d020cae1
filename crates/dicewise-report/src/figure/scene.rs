//! A figure as a list of shapes, which an SVG file and a PNG file both follow.

use super::Colour;
use super::canvas::{Canvas, Rect, text_width};
use crate::ReportError;

/// What a shape is drawn with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Paint {
    /// The colour of the text around the figure, so that axes stay readable on a dark page.
    Ink(f32),
    /// A colour that stands for something, with its opacity.
    Colour(Colour, f32),
}

impl Paint {
    /// Letters and axes.
    pub(crate) const TEXT: Self = Self::Ink(1.0);
    /// Numbers along an axis.
    pub(crate) const FAINT: Self = Self::Ink(0.75);
    /// Grid lines.
    pub(crate) const GRID: Self = Self::Ink(0.16);

    pub(crate) fn solid(colour: Colour) -> Self {
        Self::Colour(colour, 1.0)
    }

    /// On white paper.
    fn on_paper(self) -> (Colour, f32) {
        match self {
            Self::Ink(opacity) => (Colour::TEXT, opacity),
            Self::Colour(colour, opacity) => (colour, opacity),
        }
    }
}

/// A point, in units of the figure; y grows downwards.
pub(crate) type Point = (f32, f32);

/// Which point of a text its position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// One line of text; its capitals are centred on the position.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) at: Point,
    pub(crate) size: f32,
    pub(crate) anchor: Anchor,
    /// Read from bottom to top.
    pub(crate) upwards: bool,
    pub(crate) paint: Paint,
    pub(crate) text: String,
}

/// Lengths of dash and gap; none is a solid line.
pub(crate) type Dash = Option<(f32, f32)>;

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Fill {
        rect: [f32; 4],
        paint: Paint,
    },
    Line {
        points: Vec<Point>,
        width: f32,
        dash: Dash,
        paint: Paint,
    },
    Disc {
        at: Point,
        radius: f32,
        paint: Paint,
    },
    Text(Text),
    /// Grey values row by row from the top, each a rectangle without interpolation.
    Pixels {
        rect: [f32; 4],
        columns: usize,
        grey: Vec<u8>,
    },
    /// Straight lines along pixel edges, with square ends, cut at a frame.
    Edges {
        lines: Vec<[f32; 4]>,
        width: f32,
        within: [f32; 4],
        paint: Paint,
    },
}

/// A figure.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) width: f32,
    pub(crate) height: f32,
    pub(crate) shapes: Vec<Shape>,
    /// What somebody who cannot see the figure is told.
    pub(crate) description: String,
}

impl Scene {
    pub(crate) fn new(width: f32, height: f32, description: impl Into<String>) -> Self {
        Self { width, height, shapes: Vec::new(), description: description.into() }
    }

    pub(crate) fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, paint: Paint) {
        self.shapes.push(Shape::Fill { rect: [x, y, width, height], paint });
    }

    pub(crate) fn line(&mut self, points: Vec<Point>, width: f32, dash: Dash, paint: Paint) {
        self.shapes.push(Shape::Line { points, width, dash, paint });
    }

    pub(crate) fn disc(&mut self, at: Point, radius: f32, paint: Paint) {
        self.shapes.push(Shape::Disc { at, radius, paint });
    }

    pub(crate) fn text(
        &mut self,
        at: Point,
        size: f32,
        anchor: Anchor,
        paint: Paint,
        text: impl Into<String>,
    ) {
        self.shapes.push(Shape::Text(Text { at, size, anchor, upwards: false, paint, text: text.into() }));
    }

    pub(crate) fn text_upwards(&mut self, at: Point, size: f32, paint: Paint, text: impl Into<String>) {
        let (anchor, text) = (Anchor::Middle, text.into());
        self.shapes.push(Shape::Text(Text { at, size, anchor, upwards: true, paint, text }));
    }

    /// The figure as pixels, `scale` of them a unit.
    pub(crate) fn to_png(&self, scale: f32) -> Result<Vec<u8>, ReportError> {
        let pixels = |length: f32| (length * scale).ceil().max(1.0) as usize;
        let mut canvas = Canvas::new(pixels(self.width), pixels(self.height))?;
        for shape in &self.shapes {
            rasterise(&mut canvas, shape, scale);
        }
        Ok(canvas.to_png())
    }
}

fn rasterise(canvas: &mut Canvas, shape: &Shape, scale: f32) {
    let whole = |[x, y, width, height]: [f32; 4]| {
        let (left, top) = ((x * scale).round() as i64, (y * scale).round() as i64);
        let (right, bottom) = (((x + width) * scale).round() as i64, ((y + height) * scale).round() as i64);
        Rect { x: left, y: top, width: right - left, height: bottom - top }
    };
    match shape {
        Shape::Fill { rect, paint } => {
            let (colour, opacity) = paint.on_paper();
            canvas.fill(whole(*rect), colour, opacity);
        }
        Shape::Line { points, width, dash, paint } => {
            let (colour, opacity) = paint.on_paper();
            let points: Vec<Point> = points.iter().map(|&(x, y)| (x * scale, y * scale)).collect();
            let pieces = dashes(&points, dash.map(|(on, off)| (on * scale, off * scale)));
            canvas.strokes(&pieces, width * scale, colour, opacity);
        }
        Shape::Disc { at: (x, y), radius, paint } => {
            let (colour, opacity) = paint.on_paper();
            canvas.disc(x * scale, y * scale, radius * scale, colour, opacity);
        }
        Shape::Text(text) => {
            let (colour, opacity) = text.paint.on_paper();
            let size = text.size * scale;
            let shift = match text.anchor {
                Anchor::Start => 0.0,
                Anchor::Middle => -text_width(size, &text.text) / 2.0,
                Anchor::End => -text_width(size, &text.text),
            };
            let (x, y) = (text.at.0 * scale, text.at.1 * scale);
            if text.upwards {
                canvas.text_upwards(x, y - shift, size, colour, opacity, &text.text);
            } else {
                canvas.text(x + shift, y, size, colour, opacity, &text.text);
            }
        }
        Shape::Pixels { rect, columns, grey } => {
            let rows = grey.len() / columns;
            let [x, y, width, height] = *rect;
            let cell = [width / *columns as f32, height / rows as f32];
            for (i, &grey) in grey.iter().enumerate() {
                let place = [x + cell[0] * (i % columns) as f32, y + cell[1] * (i / columns) as f32];
                canvas.fill(whole([place[0], place[1], cell[0], cell[1]]), Colour([grey; 3]), 1.0);
            }
        }
        Shape::Edges { lines, width, within, paint } => {
            let ((colour, opacity), frame) = (paint.on_paper(), whole(*within));
            let thickness = ((width * scale).round() as i64).max(1);
            for &[x0, y0, x1, y1] in lines {
                let line = whole([x0, y0, x1 - x0, y1 - y0]);
                // Lengthened by half the thickness at both ends, so that corners close.
                let line = Rect {
                    x: line.x - thickness / 2,
                    y: line.y - thickness / 2,
                    width: line.width + thickness,
                    height: line.height + thickness,
                };
                canvas.fill(line.within(frame), colour, opacity);
            }
        }
    }
}

/// The pieces of a line that are drawn.
fn dashes(points: &[Point], dash: Dash) -> Vec<[Point; 2]> {
    let segments = points.windows(2).map(|pair| [pair[0], pair[1]]);
    let Some((on, off)) = dash else { return segments.collect() };
    let mut pieces = Vec::new();
    // Where in the pattern the next segment begins.
    let mut phase = 0.0f32;
    for [(x0, y0), (x1, y1)] in segments {
        let length = (x1 - x0).hypot(y1 - y0);
        let at = |along: f32| (x0 + (x1 - x0) * along / length, y0 + (y1 - y0) * along / length);
        let mut along = 0.0;
        while length > 0.0 && along < length {
            let (drawn, rest) = if phase < on { (true, on - phase) } else { (false, on + off - phase) };
            let end = (along + rest).min(length);
            if drawn {
                pieces.push([at(along), at(end)]);
            }
            phase = if end - along < rest { phase + end - along } else { (phase + rest) % (on + off) };
            along = end;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dashed_line_goes_around_corners_without_starting_its_pattern_anew() {
        // 3 on, 2 off, along 4 to the right and 4 down: on 0–3, off 3–5, on 5–8.
        let pieces = dashes(&[(0.0, 0.0), (4.0, 0.0), (4.0, 4.0)], Some((3.0, 2.0)));
        assert_eq!(pieces, [[(0.0, 0.0), (3.0, 0.0)], [(4.0, 1.0), (4.0, 4.0)]]);
    }
}
