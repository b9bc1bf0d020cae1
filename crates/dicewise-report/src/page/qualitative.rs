//! The paper's Figure 3: a case as every cell segments it, in three planes.

use std::path::Path;

use dicewise_data::{Image, LabelMap, Volume, nifti};

use super::charts::{file_name, push_figure, write_scene};
use super::{Report, ReportOptions, viewer};
use crate::html::{Page, escape};
use crate::{
    CaseScore, Cell, CellOrder, Contour, OverlayFigure, OverlayRow, RecordedLabel, RecordedTraining,
    ReportError, RunRecord, SHOWN_FOLDER, ShownCase, Tile,
};

/// Voxels shown around the structure.
const MARGIN: usize = 8;
const TILE_PIXELS: usize = 200;

/// Which axis a slice is perpendicular to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plane {
    Axial,
    Coronal,
    Sagittal,
}

impl Plane {
    pub(super) const ALL: [Self; 3] = [Self::Axial, Self::Coronal, Self::Sagittal];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Axial => "axial",
            Self::Coronal => "coronal",
            Self::Sagittal => "sagittal",
        }
    }

    /// Axis across the slice, axis to the right, axis upwards.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Axial => [2, 0, 1],
            Self::Coronal => [1, 0, 2],
            Self::Sagittal => [0, 1, 2],
        }
    }
}

/// A plane through a volume and how its pixels are repeated to be about square.
struct Slicing {
    axes: [usize; 3],
    at: usize,
    repeat: [usize; 2],
}

impl Slicing {
    /// The slice in which the structure is largest.
    fn through(truth: &Volume<bool>, plane: Plane) -> Self {
        let axes @ [across, right, up] = plane.axes();
        let shape = truth.grid.shape;
        let mut area = vec![0usize; shape[across]];
        for (voxel, _) in truth.data.iter().enumerate().filter(|(_, inside)| **inside) {
            let place = [voxel % shape[0], voxel / shape[0] % shape[1], voxel / (shape[0] * shape[1])];
            area[place[across]] += 1;
        }
        let largest = (0..area.len()).rev().max_by_key(|&at| area[at]).unwrap_or(0);
        let spacing = truth.grid.spacing_mm();
        let finest = spacing[right].min(spacing[up]);
        let times = |axis: usize| ((spacing[axis] / finest).round() as usize).clamp(1, 8);
        Self { axes, at: largest, repeat: [times(right), times(up)] }
    }

    fn size(&self, shape: [usize; 3]) -> (usize, usize) {
        let [_, right, up] = self.axes;
        (shape[right] * self.repeat[0], shape[up] * self.repeat[1])
    }

    /// Row by row from the top, which is the far end of the axis upwards.
    fn cut<T: Copy>(&self, volume: &Volume<T>) -> Vec<T> {
        let [across, right, up] = self.axes;
        let (width, height) = self.size(volume.grid.shape);
        let mut pixels = Vec::with_capacity(width * height);
        for row in (0..height).rev() {
            for column in 0..width {
                let mut place = [0; 3];
                (place[across], place[right], place[up]) =
                    (self.at, column / self.repeat[0], row / self.repeat[1]);
                pixels.push(volume.data[volume.index(place[0], place[1], place[2])]);
            }
        }
        pixels
    }
}

/// The image, the truth and the predictions of a shown case, one label of it.
pub(super) struct CaseVolumes {
    image: Image,
    truth: Volume<bool>,
    predictions: Vec<(Cell, Volume<bool>)>,
}

/// Path of the kept image.
pub(super) fn image_path(results: &Path, case: &str) -> std::path::PathBuf {
    results.join(SHOWN_FOLDER).join(format!("{case}_image.nii.gz"))
}

/// Path of the kept truth of a label.
pub(super) fn truth_path(results: &Path, case: &str, label: &RecordedLabel) -> std::path::PathBuf {
    results.join(SHOWN_FOLDER).join(format!("{case}_truth{}.nii.gz", label.suffix))
}

/// Path of a network's prediction.
pub(super) fn prediction_path(
    results: &Path,
    training: &RecordedTraining,
    case: &str,
    label: &RecordedLabel,
) -> std::path::PathBuf {
    results.join(&training.folder).join("validation").join(format!("{case}{}.nii.gz", label.suffix))
}

/// The networks that a case is shown of: of the first seed, and of the fold that held the case out.
pub(super) fn shown_trainings<'a>(record: &'a RunRecord, shown: &ShownCase) -> Vec<&'a RecordedTraining> {
    let seed = record.trainings.iter().map(|training| training.seed).min();
    let of_case = |t: &&RecordedTraining| t.fold == shown.fold && Some(t.seed) == seed;
    record.trainings.iter().filter(of_case).collect()
}

impl CaseVolumes {
    pub(super) fn read(
        results: &Path,
        record: &RunRecord,
        shown: &ShownCase,
        label: &RecordedLabel,
    ) -> Result<Self, ReportError> {
        let image = nifti::read_image(image_path(results, &shown.case))?;
        let mask = |path: std::path::PathBuf| -> Result<Volume<bool>, ReportError> {
            let map: LabelMap = nifti::read_labels(&path)?;
            if map.grid.shape != image.grid.shape {
                let problem = format!(
                    "{} is {:?} voxels, the image of {} is {:?}",
                    path.display(),
                    map.grid.shape,
                    shown.case,
                    image.grid.shape
                );
                return Err(ReportError::Figure { problem });
            }
            Ok(map.map(|&value| value == label.value))
        };
        let truth = mask(truth_path(results, &shown.case, label))?;
        let mut predictions = Vec::new();
        for training in shown_trainings(record, shown) {
            let path = prediction_path(results, training, &shown.case, label);
            predictions.push((training.cell(), mask(path)?));
        }
        Ok(Self { image, truth, predictions })
    }

    /// Rows by labelling and B, columns truth and settings.
    pub(super) fn figure(
        &self,
        plane: Plane,
        order: &CellOrder,
        dsc: impl Fn(&Cell) -> Option<f64>,
    ) -> Result<crate::figure::scene::Scene, ReportError> {
        let slicing = Slicing::through(&self.truth, plane);
        let (width, height) = slicing.size(self.image.grid.shape);
        let (grey, truth) = (slicing.cut(&self.image), slicing.cut(&self.truth));
        let mut settings: Vec<&str> =
            self.predictions.iter().map(|(cell, _)| cell.setting.as_str()).collect();
        settings.sort_by_key(|&setting| order.of_setting(setting));
        settings.dedup();
        let mut rows: Vec<(&str, usize)> =
            self.predictions.iter().map(|(cell, _)| (cell.labelling.as_str(), cell.batch_size)).collect();
        rows.sort_by_key(|&(labelling, batch_size)| (order.of_labelling(labelling), batch_size));
        rows.dedup();
        let slices: Vec<(&Cell, Vec<bool>)> =
            self.predictions.iter().map(|(cell, mask)| (cell, slicing.cut(mask))).collect();
        let tile = |contours, note| Some(Tile { grey: &grey, width, height, contours, note });
        let predicted = |labelling: &str, batch_size: usize, setting: &str| {
            let of_cell = |(cell, _): &&(&Cell, Vec<bool>)| {
                cell.labelling == labelling && cell.batch_size == batch_size && cell.setting == setting
            };
            let (cell, mask) = slices.iter().find(of_cell)?;
            let note = dsc(cell).map(|dsc| format!("DSC {dsc:.2}"));
            tile(vec![Contour::target(&truth), Contour::prediction(mask)], note)
        };
        let figure = OverlayFigure {
            columns: std::iter::once("ground truth")
                .chain(settings.iter().copied())
                .map(str::to_owned)
                .collect(),
            rows: rows
                .iter()
                .map(|&(labelling, batch_size)| OverlayRow {
                    caption: format!("{labelling} labels\nB = {batch_size}"),
                    tiles: std::iter::once(tile(vec![Contour::target(&truth)], None))
                        .chain(settings.iter().map(|setting| predicted(labelling, batch_size, setting)))
                        .collect(),
                })
                .collect(),
            legend: OverlayFigure::truth_and_prediction(),
            crop_margin: Some(MARGIN * slicing.repeat[0].max(slicing.repeat[1])),
            tile_pixels: TILE_PIXELS,
        };
        figure.scene()
    }
}

/// The DSC of a shown case by one of its networks.
pub(super) fn dsc_of<'a>(
    scores: &'a [CaseScore],
    record: &RunRecord,
    shown: &'a ShownCase,
    label: &'a str,
) -> impl Fn(&Cell) -> Option<f64> + 'a {
    let seed = record.trainings.iter().map(|training| training.seed).min();
    move |cell| {
        let of_cell = |score: &&CaseScore| {
            (score.case == shown.case && score.label == label && Some(score.seed) == seed)
                && score.fold == shown.fold
                && Cell::of(score) == *cell
        };
        scores.iter().find(of_cell)?.dsc
    }
}

impl Report<'_> {
    pub(super) fn push_cases(
        &self,
        page: &mut Page,
        figures: &Path,
        options: ReportOptions,
    ) -> Result<(), ReportError> {
        page.push("<h2 id=\"cases\">Segmentations</h2>\n");
        let record = &self.record;
        let label = match &record.partial {
            Some(partial) => record.labels.iter().find(|label| label.name == partial.label),
            None => record.labels.first(),
        };
        let (Some(label), false) = (label, record.shown.is_empty()) else {
            page.push("<p>No images were kept with these results.</p>\n");
            return Ok(());
        };
        page.push(&format!(
            "<p>Contours of {} on the image, in the slice where it is largest. Worst, median and best of each group by \
             the DSC with full labels.</p>\n",
            escape(&label.name)
        ));
        for (place, case) in record.shown_in_order().into_iter().enumerate() {
            let volumes = CaseVolumes::read(self.results, record, case, label)?;
            let title = format!("{}, {} case: {}", case.group, case.rank, case.case);
            let open = if place == 0 { " open" } else { "" };
            page.push(&format!("<details{open}><summary>{}</summary>\n", escape(&title)));
            for plane in Plane::ALL {
                let scene =
                    volumes.figure(plane, &self.order, dsc_of(&self.scores, record, case, &label.name))?;
                let name = file_name(&format!("case_{}_{}", case.case, plane.name()));
                write_scene(figures, &name, &scene)?;
                let caption =
                    format!("{title}, {} slice. The DSC is that of the whole volume.", plane.name());
                push_figure(page, &name, &scene, &caption, "../../cases.csv");
            }
            page.push("</details>\n");
        }
        if options.single_file {
            viewer::push(page, self.results, record)?;
        } else {
            page.push(
                "<p><a href=\"viewer.html\">Open the viewer</a>: these cases in three planes and in 3-D, with truth \
                 and predictions as overlays.</p>\n",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use dicewise_data::Grid;

    use super::*;

    #[test]
    fn a_slice_shows_the_far_end_on_top_and_thick_slices_in_proportion() {
        // 2 × 3 × 2 voxels, z twice as thick as x and y; the structure is one voxel at (1, 0, 1).
        let grid = Grid::axis_aligned([2, 3, 2], [1.0, 1.0, 2.0]);
        let numbers = Volume::new(grid.clone(), (0..12).collect::<Vec<i32>>());
        let truth = Volume::new(grid, (0..12).map(|i| i == 7).collect());
        let cut = |plane| Slicing::through(&truth, plane).cut(&numbers);
        assert_eq!(cut(Plane::Axial), [10, 11, 8, 9, 6, 7]);
        assert_eq!(cut(Plane::Coronal), [6, 7, 6, 7, 0, 1, 0, 1]);
        assert_eq!(cut(Plane::Sagittal), [7, 9, 11, 7, 9, 11, 1, 3, 5, 1, 3, 5]);
    }
}
