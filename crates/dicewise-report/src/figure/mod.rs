//! Figures as PNG files, drawn in memory.

mod canvas;
mod colour;
mod dots;
mod overlay;
mod tile;

pub use colour::Colour;
pub use overlay::{LegendEntry, OverlayFigure, OverlayRow};
pub use tile::{Contour, Tile};
