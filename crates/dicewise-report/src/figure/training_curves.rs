//! Curves over the iterations of every cell: losses, and what empty maps are taught.

use std::collections::{BTreeMap, BTreeSet};

use super::Chart;
use super::plot::{
    Axis, LineLegend, Panel, TEXT, batch_size_dash, draw_legend, legend_width, setting_colour,
};
use super::scene::{Anchor, Paint, Scene};
use crate::case_score::to_csv;
use crate::{Cell, CellOrder, LogRow};

/// The iterations of all networks of one cell.
#[derive(Clone, Debug)]
pub(crate) struct CellLog {
    pub(crate) cell: Cell,
    /// One log for each seed and fold.
    pub(crate) logs: Vec<Vec<LogRow>>,
}

/// One column of panels.
struct Quantity {
    title: &'static str,
    unit: &'static str,
    logarithmic: bool,
    value: fn(&LogRow) -> f64,
}

const PLOT: (f32, f32) = (290.0, 190.0);
const LEFT: f32 = 84.0;
const TOP: f32 = 38.0;
const BELOW: f32 = 54.0;
/// Points of a curve; each is the mean of the iterations between two.
const BINS: usize = 60;

/// Training and validation loss.
pub(crate) fn loss_chart(cells: &[CellLog], order: &CellOrder) -> Option<Chart> {
    let quantity = |title, value| Quantity { title, unit: "Dice loss", logarithmic: false, value };
    let quantities =
        [quantity("training loss", |row| row.loss), quantity("validation loss", |row| row.validation_loss)];
    chart(cells, order, &quantities, "Loss over the iterations of every cell")
}

/// What the loss makes of empty and of present maps, each kind for itself.
pub(crate) fn map_loss_chart(cells: &[CellLog], order: &CellOrder) -> Option<Chart> {
    let quantity = |title, value| Quantity { title, unit: "1 − D", logarithmic: false, value };
    let quantities =
        [quantity("empty maps", |row| row.loss_empty), quantity("present maps", |row| row.loss_present)];
    chart(cells, order, &quantities, "Loss on empty and on present maps over the iterations of every cell")
}

/// ∂L/∂p on empty and on present maps, and what is predicted on empty ones.
pub(crate) fn gradient_chart(cells: &[CellLog], order: &CellOrder) -> Option<Chart> {
    let derivative = "mean ∂L/∂p (1/voxel)";
    let quantities = [
        Quantity { title: "empty maps", unit: derivative, logarithmic: true, value: |row| row.push_empty },
        Quantity {
            title: "present maps, where y = 0",
            unit: derivative,
            logarithmic: true,
            value: |row| row.push_present,
        },
        Quantity {
            title: "prediction on empty maps",
            unit: "Σp (voxels)",
            logarithmic: false,
            value: |row| row.mass_empty,
        },
    ];
    chart(
        cells,
        order,
        &quantities,
        "Derivative on empty and on present maps over the iterations of every cell",
    )
}

/// A point of a curve: iteration, value.
type Curve = Vec<(f64, f64)>;

/// Mean over networks and over the iterations of each bin; bins without a value are left out.
fn binned(logs: &[Vec<LogRow>], last: f64, value: fn(&LogRow) -> f64) -> Curve {
    let mut bins = vec![(0usize, 0.0, 0.0); BINS];
    for row in logs.iter().flatten() {
        let value = value(row);
        if value.is_finite() {
            let bin = (((row.iteration - 1.0) / last * BINS as f64) as usize).min(BINS - 1);
            let (n, iterations, sum) = &mut bins[bin];
            (*n, *iterations, *sum) = (*n + 1, *iterations + row.iteration, *sum + value);
        }
    }
    let filled = bins.into_iter().filter(|(n, ..)| *n > 0);
    filled.map(|(n, iterations, sum)| (iterations / n as f64, sum / n as f64)).collect()
}

fn chart(cells: &[CellLog], order: &CellOrder, quantities: &[Quantity], description: &str) -> Option<Chart> {
    let last = cells.iter().flat_map(|c| c.logs.iter().flatten()).map(|r| r.iteration).fold(0.0, f64::max);
    if last == 0.0 {
        return None;
    }
    let settings: BTreeSet<_> = cells.iter().map(|c| order.of_setting(&c.cell.setting)).collect();
    let batch_sizes: BTreeSet<usize> = cells.iter().map(|c| c.cell.batch_size).collect();
    let style = |cell: &Cell| {
        let setting = settings.iter().position(|(_, s)| *s == cell.setting).unwrap_or(0);
        let batch_size = batch_sizes.iter().position(|&b| b == cell.batch_size).unwrap_or(0);
        (setting_colour(setting), batch_size_dash(batch_size, batch_sizes.len()))
    };
    let mut lines: BTreeMap<_, Vec<&CellLog>> = BTreeMap::new();
    for log in cells {
        lines.entry(order.of_labelling(&log.cell.labelling)).or_default().push(log);
    }
    lines
        .values_mut()
        .for_each(|logs| logs.sort_by(|a, b| order.of_cell(&a.cell).cmp(&order.of_cell(&b.cell))));
    // Quantities that nothing was written of have no panel.
    let curves = |log: &CellLog, quantity: &Quantity| binned(&log.logs, last, quantity.value);
    let shown: Vec<(&Quantity, Axis)> = quantities
        .iter()
        .filter_map(|quantity| {
            let values = cells.iter().flat_map(|log| curves(log, quantity)).map(|(_, value)| value);
            Some((quantity, y_axis(quantity, values)?))
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    let legends: Vec<Vec<LineLegend>> = lines
        .values()
        .map(|logs| {
            let entry = |log: &&CellLog| {
                let (colour, dash) = style(&log.cell);
                LineLegend {
                    colour,
                    dash,
                    text: format!("{}, B = {}", log.cell.setting, log.cell.batch_size),
                }
            };
            logs.iter().map(entry).collect()
        })
        .collect();
    let step = LEFT + PLOT.0 + 14.0;
    let line_height = TOP + PLOT.1 + BELOW;
    let width =
        step * shown.len() as f32 + legends.iter().map(|l| legend_width(l)).fold(0.0, f32::max) + 24.0;
    let mut scene = Scene::new(width, line_height * lines.len() as f32, description);
    let x_axis = Axis::linear("iteration", 0.0, last);
    let mut records = Vec::new();
    for (i, (((_, labelling), logs), legend)) in lines.iter().zip(&legends).enumerate() {
        let top = line_height * i as f32 + TOP;
        for (column, (quantity, y_axis)) in shown.iter().enumerate() {
            let panel = Panel { left: step * column as f32 + LEFT, top, width: PLOT.0, height: PLOT.1 };
            panel.draw(&mut scene, &format!("{labelling}: {}", quantity.title), &x_axis, y_axis);
            if logs.iter().all(|log| curves(log, quantity).is_empty()) {
                let middle = (panel.left + panel.width / 2.0, panel.top + panel.height / 2.0);
                scene.text(middle, TEXT, Anchor::Middle, Paint::FAINT, "no such maps");
            }
            for log in logs {
                let (colour, dash) = style(&log.cell);
                let curve = curves(log, quantity);
                let points = curve.iter().map(|&(x, y)| panel.at((&x_axis, y_axis), x, y)).collect();
                scene.line(points, 1.8, dash, Paint::solid(colour));
                records.extend(curve.iter().map(|(iteration, value)| {
                    let Cell { labelling, setting, batch_size } = &log.cell;
                    [
                        labelling.clone(),
                        setting.clone(),
                        batch_size.to_string(),
                        quantity.title.to_owned(),
                        iteration.to_string(),
                        value.to_string(),
                    ]
                }));
            }
        }
        draw_legend(&mut scene, step * shown.len() as f32 + 8.0, top + 14.0, legend);
    }
    let header = ["labelling", "setting", "batch_size", "quantity", "iteration", "value"];
    Some(Chart { scene, csv: to_csv(header, records.into_iter()) })
}

fn y_axis(quantity: &Quantity, values: impl Iterator<Item = f64>) -> Option<Axis> {
    let usable = values.filter(|v| !quantity.logarithmic || *v > 0.0);
    let range = usable.fold(None, |range: Option<(f64, f64)>, v| {
        Some(range.map_or((v, v), |(least, most)| (least.min(v), most.max(v))))
    });
    let (least, most) = range?;
    Some(match quantity.logarithmic {
        // Twelve powers of ten say "nothing"; more would only flatten what there is.
        true => Axis::logarithmic(quantity.unit, least.max(most * 1e-12), most),
        false => Axis::linear(quantity.unit, least.min(0.0), most),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_means_of_bins_and_skip_what_was_not_measured() {
        let row = |iteration: usize, loss: f64| LogRow {
            iteration: iteration as f64,
            learning_rate: 1.0,
            loss,
            validation_loss: f64::NAN,
            loss_empty: f64::NAN,
            loss_present: 1.0,
            push_empty: f64::NAN,
            push_present: 1.0,
            pull_present: 1.0,
            mass_empty: f64::NAN,
            mass_present: 1.0,
        };
        // 120 iterations in 60 bins: two in each, of two networks.
        let log = |shift: f64| (1..=120).map(|i| row(i, i as f64 + shift)).collect::<Vec<_>>();
        let curve = binned(&[log(0.0), log(1.0)], 120.0, |row| row.loss);
        assert_eq!(curve.len(), 60);
        assert_eq!(curve[0], (1.5, 2.0));
        assert_eq!(curve[59], (119.5, 120.0));
        assert!(binned(&[log(0.0)], 120.0, |row| row.validation_loss).is_empty());
    }
}
