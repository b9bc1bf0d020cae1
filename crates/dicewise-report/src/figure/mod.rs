//! Figures: described once as shapes, written as SVG and as PNG.

mod boxes;
mod canvas;
mod colour;
mod epsilon_curve;
mod overlay;
mod partitions;
mod plot;
mod roc_curves;
pub(crate) mod scene;
mod svg;
mod tile;
mod training_curves;

pub use colour::Colour;
pub use epsilon_curve::write_epsilon_figure;
pub use overlay::{LegendEntry, OverlayFigure, OverlayRow};
pub use tile::{Contour, Tile};

pub(crate) use partitions::partitions_chart;
pub(crate) use roc_curves::roc_chart;
pub(crate) use training_curves::{CellLog, gradient_chart, loss_chart, map_loss_chart};

/// A figure and the numbers it shows.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) scene: scene::Scene,
    /// A CSV file.
    pub(crate) csv: Vec<u8>,
}
