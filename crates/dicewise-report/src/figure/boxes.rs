//! Table 1 as a picture: DSC or ΔV of every case, a box for each cell and group.

use super::canvas::text_width;
use super::plot::{Axis, Panel, TEXT, TITLE};
use super::scene::{Anchor, Paint, Scene};
use super::{Chart, Colour};
use crate::case_score::to_csv;
use crate::table1::mean;
use crate::table1_layout::{Metric, NOT_RUN};
use crate::{ReportError, Table1, Table1Row};

const PLOT_HEIGHT: f32 = 250.0;
const ABOVE: f32 = 40.0;
const BELOW: f32 = 34.0;
const LEFT: f32 = 84.0;
const STRIP: f32 = 30.0;
const SETTING_GAP: f32 = 14.0;
const PANEL_GAP: f32 = 26.0;
const LEGEND_HEIGHT: f32 = 40.0;
const WIDEST_LINE: f32 = 1000.0;

/// Groups in the order of the table; the always-labelled one is blue.
pub(crate) const GROUP_COLOURS: [Colour; 4] =
    [Colour::BLUE, Colour::VERMILLION, Colour::BLUISH_GREEN, Colour::REDDISH_PURPLE];

/// Quartiles, interpolated between order statistics (type 7 of Hyndman and Fan, the default of R and numpy), and
/// whiskers to the last value within 1.5 times the quartiles' distance from the box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BoxSummary {
    pub(crate) low: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
    pub(crate) high: f64,
}

impl BoxSummary {
    /// None of no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let quantile = |share: f64| {
            let place = share * last as f64;
            let (below, part) = (sorted[place.floor() as usize], place.fract());
            below + part * (sorted[place.ceil() as usize] - below)
        };
        let (q1, median, q3) = (quantile(0.25), quantile(0.5), quantile(0.75));
        let reach = 1.5 * (q3 - q1);
        let low = sorted.iter().copied().find(|&v| v >= q1 - reach).unwrap_or(q1).min(q1);
        let high = sorted.iter().copied().rev().find(|&v| v <= q3 + reach).unwrap_or(q3).max(q3);
        Some(Self { low, q1, median, q3, high })
    }
}

fn values(row: &Table1Row, metric: Metric) -> &[f64] {
    match metric {
        Metric::Dsc => &row.dsc_of_cases,
        Metric::VolumeDifference => &row.volume_differences_ml,
    }
}

impl Table1 {
    /// The DSC of every case of one label as a PNG: a line of panels for each labelling, a panel for each B, a box
    /// for each setting and group.
    ///
    /// # Errors
    /// [`ReportError::Figure`] if no case was scored under this label.
    pub fn dsc_figure(&self, label: &str) -> Result<Vec<u8>, ReportError> {
        self.box_chart(label, Metric::Dsc)?.scene.to_png(2.0)
    }

    /// Writes [`Self::dsc_figure`] as a PNG file.
    pub fn write_dsc_figure(&self, label: &str, path: &std::path::Path) -> Result<(), ReportError> {
        crate::write_atomically(path, &self.dsc_figure(label)?)
    }

    /// The same of ΔV, which tells what DSC cannot where a structure is absent: what was predicted all the same.
    pub fn write_volume_figure(&self, label: &str, path: &std::path::Path) -> Result<(), ReportError> {
        let chart = self.box_chart(label, Metric::VolumeDifference)?;
        crate::write_atomically(path, &chart.scene.to_png(2.0)?)
    }

    pub(crate) fn box_chart(&self, label: &str, metric: Metric) -> Result<Chart, ReportError> {
        let layouts = self.layouts();
        let Some(layout) = layouts.iter().find(|layout| layout.label == label) else {
            let known: Vec<&str> = layouts.iter().map(|layout| layout.label).collect();
            return Err(ReportError::Figure { problem: format!("no label `{label}`; there are {known:?}") });
        };
        let groups: Vec<&str> = layout.group_sizes.iter().map(|&(group, _)| group).collect();
        let of_label = || self.rows.iter().filter(|row| row.label == label);
        let find = |labelling: &str, batch_size: usize, setting: &str, group: &str| {
            of_label().find(|row| {
                (row.cell.labelling == labelling && row.cell.batch_size == batch_size)
                    && (row.cell.setting == setting && row.group == group)
            })
        };
        let settings_of = |&(labelling, batch_size): &(&str, usize)| -> Vec<&str> {
            let run = |s: &&str| groups.iter().any(|g| find(labelling, batch_size, s, g).is_some());
            layout.blocks[0].settings.iter().copied().filter(run).collect()
        };
        let axis = axis(metric, of_label().flat_map(|row| values(row, metric)).copied());

        let widest = layout.blocks[0].settings.iter().map(|s| text_width(TEXT, s) + 8.0).fold(0.0, f32::max);
        let slot = (groups.len() as f32 * STRIP).max(widest) + SETTING_GAP;
        let title = |(labelling, b): &(&str, usize)| format!("{labelling}, B = {b}");
        let panel_width = |row: &(&str, usize)| {
            (settings_of(row).len() as f32 * slot).max(text_width(TITLE, &title(row)) + 8.0)
        };
        // A line for each labelling, or a single one where all fits; panels of one line follow each other by B.
        let all: f32 = layout.rows.iter().map(|row| panel_width(row) + PANEL_GAP).sum();
        let lines: Vec<&[(&str, usize)]> = match LEFT + all <= WIDEST_LINE {
            true => vec![&layout.rows],
            false => layout.rows.chunk_by(|a, b| a.0 == b.0).collect(),
        };
        let line_width =
            |line: &&[(&str, usize)]| line.iter().map(|r| panel_width(r) + PANEL_GAP).sum::<f32>();
        let width = LEFT + lines.iter().map(line_width).fold(legend_width(&groups), f32::max);
        let line_height = ABOVE + PLOT_HEIGHT + BELOW;
        let height = lines.len() as f32 * line_height + LEGEND_HEIGHT;
        let name = metric.title();
        let mut scene = Scene::new(width, height, format!("Box plots of {name} of {label} for every cell"));
        let mut records = Vec::new();
        for (i, line) in lines.iter().enumerate() {
            let (mut left, top) = (LEFT, i as f32 * line_height + ABOVE);
            for row in *line {
                let settings = settings_of(row);
                let panel = Panel { left, top, width: panel_width(row), height: PLOT_HEIGHT };
                panel.draw_y(&mut scene, &title(row), &axis, left == LEFT);
                let slot = panel.width / settings.len() as f32;
                for (s, setting) in settings.into_iter().enumerate() {
                    let middle = left + (s as f32 + 0.5) * slot;
                    let below = (middle, top + PLOT_HEIGHT + 16.0);
                    scene.text(below, TEXT, Anchor::Middle, Paint::TEXT, setting);
                    for (g, group) in groups.iter().enumerate() {
                        let x = middle + (g as f32 - (groups.len() - 1) as f32 / 2.0) * STRIP;
                        let found = find(row.0, row.1, setting, group);
                        draw_box(&mut scene, &panel, &axis, x, found.map(|r| values(r, metric)), g);
                        records.extend(found.map(|row| record(row, metric)));
                    }
                }
                left += panel.width + PANEL_GAP;
            }
        }
        draw_legend(&mut scene, &groups, height - LEGEND_HEIGHT / 2.0);
        let header = [
            "labelling",
            "setting",
            "batch_size",
            "group",
            "label",
            "n",
            "lower_whisker",
            "q1",
            "median",
            "q3",
            "upper_whisker",
            "mean",
        ];
        Ok(Chart { scene, csv: to_csv(header, records.into_iter()) })
    }
}

fn axis(metric: Metric, values: impl Iterator<Item = f64> + Clone) -> Axis {
    match metric {
        Metric::Dsc => Axis::linear("DSC", 0.0, 1.0),
        Metric::VolumeDifference => {
            let least = values.clone().fold(0.0, f64::min);
            Axis::linear("ΔV = prediction − target (ml)", least, values.fold(0.0, f64::max))
        }
    }
}

fn record(row: &Table1Row, metric: Metric) -> [String; 12] {
    let values = values(row, metric);
    let summary = BoxSummary::of(values);
    let shown = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
    [
        row.cell.labelling.clone(),
        row.cell.setting.clone(),
        row.cell.batch_size.to_string(),
        row.group.clone(),
        row.label.clone(),
        values.len().to_string(),
        shown(summary.map(|s| s.low)),
        shown(summary.map(|s| s.q1)),
        shown(summary.map(|s| s.median)),
        shown(summary.map(|s| s.q3)),
        shown(summary.map(|s| s.high)),
        shown(mean(values.iter().copied())),
    ]
}

fn draw_box(scene: &mut Scene, panel: &Panel, axis: &Axis, x: f32, values: Option<&[f64]>, group: usize) {
    let colour = GROUP_COLOURS[group % GROUP_COLOURS.len()];
    let Some((values, summary)) = values.and_then(|values| Some((values, BoxSummary::of(values)?))) else {
        let at = (x, panel.top + panel.height - 12.0);
        return scene.text(at, TEXT, Anchor::Middle, Paint::FAINT, NOT_RUN);
    };
    let (y, half) = (|value: f64| panel.y(axis, value), STRIP / 2.0 - 4.0);
    let paint = Paint::solid(colour);
    for (i, &value) in values.iter().enumerate() {
        // Multiples of the golden ratio spread dots evenly sideways, the same in every picture.
        let aside = (i as f32 * 0.618_034).fract() - 0.5;
        scene.disc((x + aside * (STRIP - 14.0), y(value)), 2.6, Paint::Colour(colour, 0.4));
    }
    let BoxSummary { low, q1, median, q3, high } = summary;
    scene.fill(x - half, y(q3), 2.0 * half, (y(q1) - y(q3)).max(1.0), Paint::Colour(colour, 0.2));
    let corners =
        [(x - half, y(q1)), (x - half, y(q3)), (x + half, y(q3)), (x + half, y(q1)), (x - half, y(q1))];
    scene.line(corners.to_vec(), 1.4, None, paint);
    for (from, to) in [(q1, low), (q3, high)] {
        scene.line(vec![(x, y(from)), (x, y(to))], 1.4, None, paint);
        scene.line(vec![(x - half / 2.0, y(to)), (x + half / 2.0, y(to))], 1.4, None, paint);
    }
    scene.line(vec![(x - half, y(median)), (x + half, y(median))], 3.2, None, paint);
}

const MEANING_OF_MARKS: &str =
    "dot: case · box: quartiles and median · whiskers: to the last case within 1.5 box lengths";

fn legend_width(groups: &[&str]) -> f32 {
    let groups: f32 = groups.iter().map(|group| 50.0 + text_width(TEXT, group)).sum();
    groups + text_width(TEXT, MEANING_OF_MARKS) + 12.0
}

fn draw_legend(scene: &mut Scene, groups: &[&str], y: f32) {
    let mut x = LEFT;
    for (g, group) in groups.iter().enumerate() {
        scene.disc((x + 7.0, y), 6.0, Paint::solid(GROUP_COLOURS[g % GROUP_COLOURS.len()]));
        scene.text((x + 22.0, y), TEXT, Anchor::Start, Paint::TEXT, *group);
        x += 50.0 + text_width(TEXT, group);
    }
    scene.text((x, y), TEXT, Anchor::Start, Paint::FAINT, MEANING_OF_MARKS);
}

#[cfg(test)]
mod tests {
    use super::BoxSummary;

    /// numpy.percentile([…], [25, 50, 75]) = 2.25, 3.5, 4.75; 30 lies beyond 4.75 + 1.5 · 2.5.
    #[test]
    fn quartiles_are_numpys_and_whiskers_leave_outliers_out() {
        let summary = BoxSummary::of(&[5.0, 1.0, 2.0, 3.0, 4.0, 30.0]).unwrap();
        assert_eq!(summary, BoxSummary { low: 1.0, q1: 2.25, median: 3.5, q3: 4.75, high: 5.0 });
        assert_eq!(BoxSummary::of(&[]), None);
    }
}
