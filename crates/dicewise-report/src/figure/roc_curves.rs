//! The paper's Figure 2: ROC of telling the always-labelled group by predicted volume.

use std::collections::{BTreeMap, BTreeSet};

use dicewise_eval::Roc;

use super::Chart;
use super::plot::{Axis, LineLegend, Panel, batch_size_dash, draw_legend, legend_width, setting_colour};
use super::scene::{Paint, Scene};
use crate::case_score::to_csv;
use crate::roc_table::volumes_by_seed;
use crate::table1::mean;
use crate::{CaseScore, Cell, CellOrder, ReportError};

const SIDE: f32 = 260.0;
const LEFT: f32 = 78.0;
const TOP: f32 = 40.0;

/// ROC curves of one label, a panel for each labelling: colours by setting, dashes by B. Each seed has a curve.
pub(crate) fn roc_chart(
    scores: &[CaseScore],
    positive_group: &str,
    label: &str,
    order: &CellOrder,
) -> Result<Chart, ReportError> {
    let strata = volumes_by_seed(scores, positive_group)?;
    let mut curves: Vec<(&Cell, Vec<(u64, Roc)>)> = strata
        .iter()
        .filter(|((_, of), _)| *of == label)
        .map(|((cell, _), by_seed)| {
            // Volumes are finite, so only a seed without one of the groups has no ROC.
            let rocs = by_seed.iter().filter_map(|(&seed, (p, n))| Some((seed, Roc::new(p, n).ok()?)));
            (cell, rocs.collect())
        })
        .collect();
    curves.sort_by(|a, b| order.of_cell(a.0).cmp(&order.of_cell(b.0)));

    let settings: BTreeSet<_> = curves.iter().map(|(cell, _)| order.of_setting(&cell.setting)).collect();
    let batch_sizes: BTreeSet<usize> = curves.iter().map(|(cell, _)| cell.batch_size).collect();
    let style = |cell: &Cell| {
        let setting = settings.iter().position(|(_, s)| *s == cell.setting).unwrap_or(0);
        let batch_size = batch_sizes.iter().position(|&b| b == cell.batch_size).unwrap_or(0);
        (setting_colour(setting), batch_size_dash(batch_size, batch_sizes.len()))
    };
    let mut panels: BTreeMap<_, Vec<&(&Cell, Vec<(u64, Roc)>)>> = BTreeMap::new();
    for curve in &curves {
        panels.entry(order.of_labelling(&curve.0.labelling)).or_default().push(curve);
    }
    let legends: Vec<Vec<LineLegend>> = panels
        .values()
        .map(|curves| {
            let entry = |(cell, rocs): &&(&Cell, Vec<(u64, Roc)>)| {
                let (colour, dash) = style(cell);
                let auc = mean(rocs.iter().map(|(_, roc)| roc.auc()));
                let auc = auc.map_or("–".to_owned(), |auc| format!("{auc:.3}"));
                let text = format!("{}, B = {}:  AUC {auc}", cell.setting, cell.batch_size);
                LineLegend { colour, dash, text }
            };
            curves.iter().map(entry).collect()
        })
        .collect();
    let panel_width = legends.iter().map(|l| legend_width(l)).fold(SIDE, f32::max);
    let longest = legends.iter().map(Vec::len).max().unwrap_or(0) as f32;
    let step = LEFT + panel_width + 20.0;
    let (width, height) = (step * panels.len().max(1) as f32, TOP + SIDE + 64.0 + 22.0 * longest);
    let description =
        format!("ROC curves: telling group {positive_group} by the predicted volume of {label}");
    let mut scene = Scene::new(width, height, description);
    let x_axis = Axis::linear("false positive rate", 0.0, 1.0);
    let y_axis = Axis::linear("true positive rate", 0.0, 1.0);
    let mut records = Vec::new();
    for (i, (((_, labelling), curves), legend)) in panels.iter().zip(&legends).enumerate() {
        let panel = Panel { left: step * i as f32 + LEFT, top: TOP, width: SIDE, height: SIDE };
        panel.draw(&mut scene, &format!("{labelling} labels"), &x_axis, &y_axis);
        let at = |x, y| panel.at((&x_axis, &y_axis), x, y);
        scene.line(vec![at(0.0, 0.0), at(1.0, 1.0)], 1.0, Some((3.0, 3.0)), Paint::Ink(0.5));
        for (cell, rocs) in curves.iter() {
            let (colour, dash) = style(cell);
            for (seed, roc) in rocs {
                let points = roc.points().iter().map(|p| at(p.false_positive_rate, p.true_positive_rate));
                scene.line(points.collect(), 2.2, dash, Paint::Colour(colour, 0.9));
                records.extend(roc.points().iter().map(|point| {
                    [
                        cell.labelling.clone(),
                        cell.setting.clone(),
                        cell.batch_size.to_string(),
                        seed.to_string(),
                        label.to_owned(),
                        point.threshold.to_string(),
                        point.false_positive_rate.to_string(),
                        point.true_positive_rate.to_string(),
                    ]
                }));
            }
        }
        draw_legend(&mut scene, panel.left, TOP + SIDE + 60.0, legend);
    }
    let header = [
        "labelling",
        "setting",
        "batch_size",
        "seed",
        "label",
        "threshold_ml",
        "false_positive_rate",
        "true_positive_rate",
    ];
    Ok(Chart { scene, csv: to_csv(header, records.into_iter()) })
}
