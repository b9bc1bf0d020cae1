//! DSC over ε: where a loss turns from ignoring empty maps to learning that they are empty.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::boxes::GROUP_COLOURS;
use super::plot::{Axis, LineLegend, Panel, batch_size_dash, draw_legend, legend_width};
use super::scene::{Paint, Scene};
use crate::table1::mean;
use crate::{CaseScore, ReportError, write_atomically};

const SIDE: (f32, f32) = (520.0, 280.0);
const LEFT: f32 = 78.0;
const TOP: f32 = 40.0;

/// The DSC of every case, by the bits of ε and by seed.
type Curve = BTreeMap<u64, BTreeMap<u64, Vec<f64>>>;

/// Writes a PNG of the mean DSC of one label and labelling over ε in multiples of v̂ = E Σy: a line for each group and
/// batch size through the mean over seeds, a dot for each seed.
///
/// `multiples` names the settings that differ in ε only, with their ε.
///
/// # Errors
/// [`ReportError::Figure`] if fewer than two of the settings were scored; a file that cannot be written.
pub fn write_epsilon_figure(
    scores: &[CaseScore],
    (labelling, label): (&str, &str),
    multiples: &[(String, f64)],
    groups: &[String],
    path: &Path,
) -> Result<(), ReportError> {
    let multiple = |score: &CaseScore| multiples.iter().find(|(name, _)| *name == score.setting).map(|m| m.1);
    // By group and batch size.
    let mut curves: BTreeMap<(usize, usize), Curve> = BTreeMap::new();
    for score in scores.iter().filter(|score| score.labelling == labelling && score.label == label) {
        let group = groups.iter().position(|group| *group == score.group);
        if let (Some(group), Some(epsilon), Some(dsc)) = (group, multiple(score), score.dsc) {
            let of_curve = curves.entry((group, score.batch_size)).or_default();
            // ε is above 0, so its bits are in its order.
            of_curve.entry(epsilon.to_bits()).or_default().entry(score.seed).or_default().push(dsc);
        }
    }
    let found: BTreeSet<u64> = curves.values().flat_map(BTreeMap::keys).copied().collect();
    let (Some(&first), Some(&last)) = (found.first(), found.last()) else {
        return Err(ReportError::Figure { problem: format!("no setting of {multiples:?} was scored") });
    };
    let batch_sizes: BTreeSet<usize> = curves.keys().map(|&(_, b)| b).collect();
    let style = |(group, batch_size): (usize, usize)| {
        let place = batch_sizes.iter().position(|&b| b == batch_size).unwrap_or(0);
        (GROUP_COLOURS[group % GROUP_COLOURS.len()], batch_size_dash(place, batch_sizes.len()))
    };
    let legend: Vec<LineLegend> = curves
        .keys()
        .map(|&(group, b)| {
            let (colour, dash) = style((group, b));
            LineLegend { colour, dash, text: format!("{}, B = {b}", groups[group]) }
        })
        .collect();
    let width = LEFT + SIDE.0.max(legend_width(&legend)) + 20.0;
    let height = TOP + SIDE.1 + 64.0 + 22.0 * legend.len() as f32;
    let mut scene = Scene::new(width, height, format!("DSC of {label} over ε"));
    let x_axis = Axis::logarithmic("ε / v̂", f64::from_bits(first), f64::from_bits(last));
    let y_axis = Axis::linear("DSC", 0.0, 1.0);
    let panel = Panel { left: LEFT, top: TOP, width: SIDE.0, height: SIDE.1 };
    panel.draw(&mut scene, &format!("{label}, {labelling} labels"), &x_axis, &y_axis);
    let at = |x, y| panel.at((&x_axis, &y_axis), x, y);
    scene.line(vec![at(1.0, 0.0), at(1.0, 1.0)], 1.0, Some((3.0, 3.0)), Paint::Ink(0.5));
    for (&key, points) in &curves {
        let (colour, dash) = style(key);
        let mut line = Vec::new();
        for (&epsilon, by_seed) in points {
            let epsilon = f64::from_bits(epsilon);
            let seeds: Vec<f64> = by_seed.values().filter_map(|cases| mean(cases.iter().copied())).collect();
            seeds.iter().for_each(|&dsc| scene.disc(at(epsilon, dsc), 2.5, Paint::Colour(colour, 0.45)));
            line.extend(mean(seeds.into_iter()).map(|dsc| at(epsilon, dsc)));
        }
        scene.line(line, 2.2, dash, Paint::solid(colour));
    }
    draw_legend(&mut scene, panel.left, TOP + SIDE.1 + 60.0, &legend);
    write_atomically(path, &scene.to_png(2.0)?)
}
