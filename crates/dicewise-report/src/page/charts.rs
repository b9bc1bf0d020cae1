//! Figures on the page, and as files beside it.

use std::path::Path;

use crate::ReportError;
use crate::figure::Chart;
use crate::figure::scene::Scene;
use crate::html::{Page, escape};
use crate::output::write_figure;

/// Pixels of a PNG for one unit of a figure: 300 dpi at a width of 18 cm are 2126 pixels, 850 units.
const PNG_SCALE: f32 = 2.5;

/// Writes a figure of numbers as SVG, PNG and CSV, and puts it on the page.
pub(super) fn push_chart(
    page: &mut Page,
    figures: &Path,
    name: &str,
    chart: &Chart,
    caption: &str,
) -> Result<(), ReportError> {
    write_chart(figures, name, chart)?;
    push_figure(page, name, &chart.scene, caption, &format!("{name}.csv"));
    Ok(())
}

/// Puts a figure that is written already on the page; `data` is the path of its numbers from the figures' folder.
pub(super) fn push_figure(page: &mut Page, name: &str, scene: &Scene, caption: &str, data: &str) {
    let (caption, name, data) = (escape(caption), escape(name), escape(data));
    page.push(&format!(
        "<figure id=\"figure-{name}\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Figure: \
         {name}\">{}</div><figcaption>{caption} Files: <a href=\"figures/{name}.svg\">SVG</a>, <a \
         href=\"figures/{name}.png\">PNG</a>, <a href=\"figures/{data}\">CSV</a>.</figcaption></figure>\n",
        scene.to_svg_inline()
    ));
}

/// Writes a figure of numbers as SVG, PNG and CSV.
pub(super) fn write_chart(figures: &Path, name: &str, chart: &Chart) -> Result<(), ReportError> {
    write_scene(figures, name, &chart.scene)?;
    write_figure(&figures.join(format!("{name}.csv")), &chart.csv)
}

/// Writes a figure as SVG and as PNG.
pub(super) fn write_scene(figures: &Path, name: &str, scene: &Scene) -> Result<(), ReportError> {
    write_figure(&figures.join(format!("{name}.svg")), scene.to_svg_file().as_bytes())?;
    write_figure(&figures.join(format!("{name}.png")), &scene.to_png(PNG_SCALE)?)
}

/// A name of labels or cases as a file's: what a file system or an address may refuse becomes `_`.
pub(super) fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' }).collect()
}
