//! The paper's Figure 3: slices with the contours of truth and predictions, one row a cell or case.

use std::path::Path;

use super::canvas::text_width;
use super::scene::{Anchor, Paint, Scene};
use super::tile::{Crop, Tile, View};
use super::{Colour, Contour};
use crate::{ReportError, write_atomically};

/// A row of tiles with a caption.
#[derive(Clone, Debug)]
pub struct OverlayRow<'a> {
    /// Words to the left of the row; `\n` starts a new line.
    pub caption: String,
    /// One tile a column; `None` where nothing was run.
    pub tiles: Vec<Option<Tile<'a>>>,
}

/// What a colour means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegendEntry {
    /// Colour of the line.
    pub colour: Colour,
    /// Thickness of the line in pixels.
    pub thickness: usize,
    /// Its meaning.
    pub meaning: String,
}

/// Slices with contours: columns are truth and settings, rows are cells or cases.
///
/// ```
/// use dicewise_report::{Contour, OverlayFigure, OverlayRow, Tile};
///
/// let grey = [0.0, 0.5, 1.0, 0.5];
/// let (target, prediction) = ([false, true, true, false], [false, false, true, false]);
/// let tile = |contours, note: Option<&str>| {
///     Some(Tile { grey: &grey, width: 2, height: 2, contours, note: note.map(str::to_owned) })
/// };
/// let figure = OverlayFigure {
///     columns: vec!["truth".into(), "BI".into()],
///     rows: vec![OverlayRow {
///         caption: "B = 2".into(),
///         tiles: vec![
///             tile(vec![Contour::target(&target)], None),
///             tile(vec![Contour::target(&target), Contour::prediction(&prediction)], Some("DSC 0.67")),
///         ],
///     }],
///     legend: OverlayFigure::truth_and_prediction(),
///     crop_margin: None,
///     tile_pixels: 240,
/// };
/// assert!(figure.to_png()?.starts_with(b"\x89PNG"));
/// # Ok::<(), dicewise_report::ReportError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OverlayFigure<'a> {
    /// Words above the columns.
    pub columns: Vec<String>,
    /// The rows, each with as many tiles as there are columns.
    pub rows: Vec<OverlayRow<'a>>,
    /// Below the figure.
    pub legend: Vec<LegendEntry>,
    /// Shows only a square around the first contour (the truth) of all tiles in a row, with this many pixels of the
    /// slice around; `None` shows whole slices.
    pub crop_margin: Option<usize>,
    /// Longer side of every tile in pixels of the figure; slices are enlarged without interpolation.
    pub tile_pixels: usize,
}

const GAP: usize = 10;
const CAPTION: f32 = 24.0;
const LINE: f32 = 30.0;
const SMALLEST_TILE: usize = 16;
const LARGEST_TILE: usize = 4096;
const LEGEND_HEIGHT: usize = 46;

impl OverlayFigure<'_> {
    /// The legend of [`Contour::target`] and [`Contour::prediction`].
    pub fn truth_and_prediction() -> Vec<LegendEntry> {
        let entry = |contour: Contour, meaning: &str| LegendEntry {
            colour: contour.colour,
            thickness: contour.thickness,
            meaning: meaning.into(),
        };
        vec![entry(Contour::target(&[]), "ground truth"), entry(Contour::prediction(&[]), "prediction")]
    }

    /// Draws the figure.
    ///
    /// # Errors
    /// [`ReportError::Figure`] if tiles and columns do not match, or masks and slices.
    pub fn to_png(&self) -> Result<Vec<u8>, ReportError> {
        self.scene()?.to_png(1.0)
    }

    pub(crate) fn scene(&self) -> Result<Scene, ReportError> {
        self.check()?;
        let views: Vec<RowView> = self.rows.iter().map(|row| self.view(row)).collect();
        let tile_width = views.iter().map(RowView::width).max().unwrap_or(0);
        let column_width =
            self.columns.iter().map(|c| text_width(CAPTION, c).ceil() as usize).fold(tile_width, usize::max);
        let lines = self.rows.iter().flat_map(|row| row.caption.lines());
        let caption_width = lines.map(|line| text_width(CAPTION, line).ceil() as usize).max().unwrap_or(0);
        let left = if caption_width > 0 { GAP + caption_width + GAP } else { GAP };
        let top = 48;
        let legend_width: usize = self.legend.iter().map(legend_entry_width).sum();
        let width = (left + self.columns.len() * (column_width + GAP)).max(GAP + legend_width);
        let rows_height: usize = views.iter().map(|view| view.height() + GAP).sum();
        let legend_height = if self.legend.is_empty() { 0 } else { LEGEND_HEIGHT };
        let height = top + rows_height + legend_height;
        let description = format!("Slices with contours; columns: {}", self.columns.join(", "));
        let mut scene = Scene::new(width as f32, height as f32, description);

        let column_left = |column: usize| left + column * (column_width + GAP);
        for (column, name) in self.columns.iter().enumerate() {
            let centre = column_left(column) as f32 + column_width as f32 / 2.0;
            scene.text((centre, top as f32 / 2.0), CAPTION, Anchor::Middle, Paint::TEXT, name.as_str());
        }
        let mut y = top;
        for (row, view) in self.rows.iter().zip(&views) {
            let lines: Vec<&str> = row.caption.lines().collect();
            let first = y as f32 + view.height() as f32 / 2.0 - LINE * (lines.len() as f32 - 1.0) / 2.0;
            for (i, line) in lines.iter().enumerate() {
                let at = ((left - GAP) as f32, first + LINE * i as f32);
                scene.text(at, CAPTION, Anchor::End, Paint::TEXT, *line);
            }
            for (column, tile) in row.tiles.iter().enumerate() {
                let x = column_left(column) + (column_width - view.width()) / 2;
                match (tile, &view.0) {
                    (Some(tile), Ok(view)) => tile.draw(&mut scene, view, x as i64, y as i64),
                    _ => draw_not_run(&mut scene, x, y, view),
                }
            }
            y += view.height() + GAP;
        }
        self.draw_legend(&mut scene, left, y + LEGEND_HEIGHT / 2 - GAP / 2);
        Ok(scene)
    }

    /// Writes the figure as a PNG file.
    pub fn write_png(&self, path: &Path) -> Result<(), ReportError> {
        write_atomically(path, &self.to_png()?)
    }

    fn check(&self) -> Result<(), ReportError> {
        let refuse = |problem: String| Err(ReportError::Figure { problem });
        if self.rows.is_empty() || self.columns.is_empty() {
            return refuse("it has no rows or no columns".into());
        }
        if !(SMALLEST_TILE..=LARGEST_TILE).contains(&self.tile_pixels) {
            let problem =
                format!("tile_pixels is {}, accepted: {SMALLEST_TILE} to {LARGEST_TILE}", self.tile_pixels);
            return refuse(problem);
        }
        for (r, row) in self.rows.iter().enumerate() {
            if row.tiles.len() != self.columns.len() {
                return refuse(format!(
                    "row {r} has {} tiles, {} columns",
                    row.tiles.len(),
                    self.columns.len()
                ));
            }
            let mut first_size = None;
            for (c, tile) in row.tiles.iter().enumerate() {
                let Some(tile) = tile else { continue };
                tile.check(&format!("row {r}, column {c}"))?;
                let size = (tile.width, tile.height);
                let expected = *first_size.get_or_insert(size);
                if size != expected {
                    return refuse(format!("row {r} has slices of {expected:?} and of {size:?} pixels"));
                }
            }
        }
        Ok(())
    }

    /// What every tile of a row shows, and how large: tiles of a row have to be comparable.
    fn view(&self, row: &OverlayRow) -> RowView {
        let mut tiles = row.tiles.iter().flatten();
        let Some(first) = tiles.next() else {
            return RowView(Err(self.tile_pixels));
        };
        let (width, height) = (first.width, first.height);
        let content = row
            .tiles
            .iter()
            .flatten()
            .filter_map(Tile::content)
            .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
        let crop = match (self.crop_margin, content) {
            (Some(margin), Some([x0, y0, x1, y1])) => {
                let side = (x1 - x0).max(y1 - y0) + 2 * margin;
                let (x, width) = around(x0, x1, side, width);
                let (y, height) = around(y0, y1, side, height);
                Crop { x, y, width, height }
            }
            _ => Crop { x: 0, y: 0, width, height },
        };
        RowView(Ok(View { crop, longest: self.tile_pixels }))
    }

    fn draw_legend(&self, scene: &mut Scene, left: usize, y: usize) {
        let (mut x, y) = (left as f32, y as f32);
        for entry in &self.legend {
            let (paint, thickness) = (Paint::solid(entry.colour), entry.thickness as f32);
            scene.fill(x, y - (entry.thickness / 2) as f32, SWATCH as f32, thickness, paint);
            let after = (x + (SWATCH + GAP) as f32, y);
            scene.text(after, LEGEND_TEXT, Anchor::Start, Paint::TEXT, entry.meaning.as_str());
            x += legend_entry_width(entry) as f32;
        }
    }
}

const SWATCH: usize = 36;
const LEGEND_TEXT: f32 = 20.0;

fn legend_entry_width(entry: &LegendEntry) -> usize {
    SWATCH + GAP + text_width(LEGEND_TEXT, &entry.meaning).ceil() as usize + 3 * GAP
}

/// Common view of a row, or the width of its empty places if it has no tile at all.
struct RowView(Result<View, usize>);

impl RowView {
    /// Width of a tile in pixels of the figure.
    fn width(&self) -> usize {
        self.0.as_ref().map_or_else(|&width| width, |view| view.at(view.crop.width) as usize)
    }

    /// Height of a tile in pixels of the figure.
    fn height(&self) -> usize {
        self.0.as_ref().map_or_else(|&width| width / 4, |view| view.at(view.crop.height) as usize)
    }
}

/// First pixel and length of `side` pixels about the middle of `from..to`, moved or cut to lie inside `0..length`.
fn around(from: usize, to: usize, side: usize, length: usize) -> (usize, usize) {
    let side = side.min(length);
    let start = ((from + to) / 2).saturating_sub(side / 2).min(length - side);
    (start, side)
}

fn draw_not_run(scene: &mut Scene, x: usize, y: usize, view: &RowView) {
    let (x, y, width, height) = (x as f32, y as f32, view.width() as f32, view.height() as f32);
    scene.fill(x, y, width, height, Paint::Ink(0.0762));
    let middle = (x + width / 2.0, y + height / 2.0);
    scene.text(middle, LEGEND_TEXT, Anchor::Middle, Paint::FAINT, "not run");
}
