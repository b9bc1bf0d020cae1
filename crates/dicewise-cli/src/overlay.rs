//! The picture of a run: one case of the group whose labels were emptied, as every cell segments it (the paper's
//! Figure 3).
use std::path::Path;

use dicewise_data::nifti;
use dicewise_data::{LabelMap, Volume};
use dicewise_experiment::{CellConfig, Experiment, Labelling, TargetLabel};
use dicewise_report::{CaseScore, Contour, OverlayFigure, OverlayRow, Tile};

use crate::cases;
use crate::cell::{PREDICTIONS, folder};
use crate::prepared_case::PreparedCase;
use crate::run_error::RunError;

/// A predicted slice and the DSC of the whole prediction.
type Predicted = (Vec<bool>, Option<f64>);

/// Voxels shown around the structure.
const MARGIN: usize = 8;
const TILE_PIXELS: usize = 220;

/// Writes `overlay.png`; nothing without partial labels, or where labels overlap and have a file each.
pub(crate) fn write(
    experiment: &Experiment,
    configs: &[CellConfig],
    cases: &[PreparedCase],
    scores: &[CaseScore],
    out: &Path,
) -> Result<(), RunError> {
    let Some(partial) = &experiment.partial else { return Ok(()) };
    let Some(label) = experiment.target.labels.iter().find(|label| label.name == partial.label) else {
        return Ok(());
    };
    let (seed, fold) = (configs[0].cell.seed, configs[0].cell.fold);
    let shown: Vec<&CellConfig> =
        configs.iter().filter(|config| config.cell.seed == seed && config.cell.fold == fold).collect();
    let Some(case) = median_case(cases, scores, seed, fold, &label.name, &partial.group) else {
        return Ok(());
    };
    let image = cases::first_channel(&configs[0], &case.id)?;
    let voxels = case.voxels().map_err(RunError::io(out))?;
    let z = largest_slice(&voxels.truth, label);
    let truth = mask(&voxels.truth, label, z);
    let grey = slice(&image, z);
    let [width, height, _] = image.grid.shape;
    fn contours<'a>(truth: &'a [bool], prediction: Option<&'a [bool]>) -> Vec<Contour<'a>> {
        let prediction = prediction.map(Contour::prediction);
        std::iter::once(Contour::target(truth)).chain(prediction).collect()
    }

    let mut settings: Vec<&str> = Vec::new();
    let mut rows: Vec<(Labelling, usize)> = Vec::new();
    for CellConfig { cell, .. } in &shown {
        if !settings.contains(&cell.setting.name.as_str()) {
            settings.push(&cell.setting.name);
        }
        if !rows.contains(&(cell.labelling, cell.batch_size)) {
            rows.push((cell.labelling, cell.batch_size));
        }
    }
    // A prediction a tile, kept until the figure is drawn.
    let mut predictions: Vec<Vec<Option<Predicted>>> = Vec::new();
    for &(labelling, batch_size) in &rows {
        let mut row = Vec::new();
        for &setting in &settings {
            let config = shown.iter().find(|config| {
                let cell = &config.cell;
                (cell.labelling, cell.batch_size, cell.setting.name.as_str())
                    == (labelling, batch_size, setting)
            });
            row.push(match config {
                None => None,
                Some(config) => {
                    let file = folder(out, config).join(PREDICTIONS).join(format!("{}.nii.gz", case.id));
                    if !file.is_file() {
                        return Ok(());
                    }
                    let predicted = nifti::read_labels(&file)?;
                    let score = scores.iter().find(|score| {
                        (score.case.as_str(), score.label.as_str()) == (&case.id, &label.name)
                            && (score.seed, score.fold) == (seed, fold)
                            && (score.setting.as_str(), score.batch_size) == (setting, batch_size)
                            && score.labelling == labelling.to_string()
                    });
                    Some((written_mask(&predicted, label, z), score.and_then(|score| score.dsc)))
                }
            });
        }
        predictions.push(row);
    }
    let figure = OverlayFigure {
        columns: std::iter::once("ground truth").chain(settings.iter().copied()).map(str::to_owned).collect(),
        rows: rows
            .iter()
            .zip(&predictions)
            .map(|((labelling, batch_size), row)| {
                let tile = |contours, note| Some(Tile { grey: &grey, width, height, contours, note });
                let predicted = row.iter().map(|prediction| {
                    let (mask, dsc) = prediction.as_ref()?;
                    tile(contours(&truth, Some(mask)), dsc.map(|dsc| format!("DSC {dsc:.2}")))
                });
                OverlayRow {
                    caption: format!("{labelling} labels\nB = {batch_size}"),
                    tiles: std::iter::once(tile(contours(&truth, None), None)).chain(predicted).collect(),
                }
            })
            .collect(),
        legend: OverlayFigure::truth_and_prediction(),
        crop_margin: Some(MARGIN),
        tile_pixels: TILE_PIXELS,
    };
    Ok(figure.write_png(&out.join("overlay.png"))?)
}

/// The held-out case of the group whose structure is of median size.
fn median_case<'a>(
    cases: &'a [PreparedCase],
    scores: &[CaseScore],
    seed: u64,
    fold: usize,
    label: &str,
    group: &str,
) -> Option<&'a PreparedCase> {
    let of_group = scores.iter().filter(|score| {
        (score.seed, score.fold, score.label.as_str(), score.group.as_str()) == (seed, fold, label, group)
    });
    let mut sizes: Vec<(f64, &str)> =
        of_group.map(|score| (score.target_volume_ml, score.case.as_str())).collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    sizes.dedup();
    let (_, id) = *sizes.get(sizes.len() / 2)?;
    cases.iter().find(|case| case.id == id)
}

fn largest_slice(truth: &LabelMap, label: &TargetLabel) -> usize {
    let [nx, ny, nz] = truth.grid.shape;
    let area = |z: &usize| {
        truth.data[z * nx * ny..][..nx * ny].iter().filter(|value| label.values.contains(value)).count()
    };
    (0..nz).max_by_key(area).unwrap_or(0)
}

/// Row by row from the top, which is the side of large y.
fn slice<T: Copy>(volume: &Volume<T>, z: usize) -> Vec<T> {
    let [nx, ny, _] = volume.grid.shape;
    (0..ny).rev().flat_map(|y| volume.data[volume.index(0, y, z)..][..nx].iter().copied()).collect()
}

fn mask(truth: &LabelMap, label: &TargetLabel, z: usize) -> Vec<bool> {
    slice(truth, z).into_iter().map(|value| label.values.contains(&value)).collect()
}

/// As [`mask`], of a predicted map, which holds the first value of each label.
fn written_mask(predicted: &LabelMap, label: &TargetLabel, z: usize) -> Vec<bool> {
    slice(predicted, z).into_iter().map(|value| value == label.values[0]).collect()
}
