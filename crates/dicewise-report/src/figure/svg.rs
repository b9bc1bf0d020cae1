//! A scene as SVG.

use std::fmt::Write;

use super::canvas::grey_png;
use super::scene::{Anchor, Paint, Scene, Shape};
use crate::base64::base64;
use crate::html::escape;

/// What a file on its own adds: without a page around it, ink is dark and paper white.
const ALONE: &str = " xmlns=\"http://www.w3.org/2000/svg\" style=\"background:#fff;color:#202020\"";

impl Scene {
    /// The figure as a file of its own.
    pub(crate) fn to_svg_file(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write_svg(&mut text, ALONE);
        text
    }

    /// The figure as part of a page, in the page's text colour.
    pub(crate) fn to_svg_inline(&self) -> String {
        let mut text = String::new();
        self.write_svg(&mut text, "");
        text
    }

    fn write_svg(&self, text: &mut String, more: &str) {
        let (width, height, label) = (self.width.ceil(), self.height.ceil(), escape(&self.description));
        let _ = writeln!(
            text,
            "<svg{more} viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-label=\"{label}\" font-family=\"DejaVu Sans, Verdana, sans-serif\">"
        );
        self.shapes.iter().for_each(|shape| write_shape(text, shape));
        text.push_str("</svg>\n");
    }
}

fn write_shape(text: &mut String, shape: &Shape) {
    let _ = match shape {
        Shape::Fill { rect: [x, y, width, height], paint } => writeln!(
            text,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}/>",
            n(*x),
            n(*y),
            n(*width),
            n(*height),
            paint_of("fill", *paint)
        ),
        Shape::Line { points, width, dash, paint } => {
            let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", n(*x), n(*y))).collect();
            let dash =
                dash.map_or(String::new(), |(on, off)| format!(" stroke-dasharray=\"{} {}\"", n(on), n(off)));
            writeln!(
                text,
                "<polyline points=\"{}\" fill=\"none\" stroke-width=\"{}\"{dash}{}/>",
                points.join(" "),
                n(*width),
                paint_of("stroke", *paint)
            )
        }
        Shape::Disc { at, radius, paint } => writeln!(
            text,
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}/>",
            n(at.0),
            n(at.1),
            n(*radius),
            paint_of("fill", *paint)
        ),
        Shape::Text(line) => {
            let anchor = match line.anchor {
                Anchor::Start => "start",
                Anchor::Middle => "middle",
                Anchor::End => "end",
            };
            // `size` is the height of a line, which is 1.164 em of DejaVu Sans; capitals are 0.729 em high.
            let em = line.size / 1.164;
            let (x, y) = line.at;
            let (x, y) = if line.upwards { (x + 0.3645 * em, y) } else { (x, y + 0.3645 * em) };
            let turn = match line.upwards {
                true => format!(" transform=\"rotate(-90 {} {})\"", n(x), n(y)),
                false => String::new(),
            };
            writeln!(
                text,
                "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{anchor}\"{turn}{}>{}</text>",
                n(x),
                n(y),
                n(em),
                paint_of("fill", line.paint),
                escape(&line.text)
            )
        }
        Shape::Pixels { rect: [x, y, width, height], columns, grey } => writeln!(
            text,
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
             image-rendering=\"pixelated\" href=\"data:image/png;base64,{}\"/>",
            n(*x),
            n(*y),
            n(*width),
            n(*height),
            base64(&grey_png(*columns, grey))
        ),
        Shape::Edges { lines, width, within: [x, y, w, h], paint } => {
            let mut path = String::new();
            for [x0, y0, x1, y1] in lines {
                let _ = write!(path, "M{} {}L{} {}", n(*x0), n(*y0), n(*x1), n(*y1));
            }
            // An inner svg element cuts at its frame without needing a name for a clip path.
            writeln!(
                text,
                "<svg x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{3}\" viewBox=\"{0} {1} {2} {3}\">\
                 <path d=\"{path}\" fill=\"none\" stroke-linecap=\"square\" stroke-width=\"{4}\"{5}/></svg>",
                n(*x),
                n(*y),
                n(*w),
                n(*h),
                n(*width),
                paint_of("stroke", *paint)
            )
        }
    };
}

fn paint_of(attribute: &str, paint: Paint) -> String {
    let (colour, opacity) = match paint {
        Paint::Ink(opacity) => ("currentColor".to_owned(), opacity),
        Paint::Colour(colour, opacity) => (colour.hex(), opacity),
    };
    match opacity {
        1.0 => format!(" {attribute}=\"{colour}\""),
        _ => format!(" {attribute}=\"{colour}\" {attribute}-opacity=\"{}\"", n(opacity)),
    }
}

/// A number with at most two decimals.
fn n(value: f32) -> String {
    let text = format!("{value:.2}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
