//! Table 1 as a picture: the DSC of every case, a dot each.

use std::path::Path;

use super::Colour;
use super::canvas::{Canvas, Rect, text_width};
use crate::table1_layout::NOT_RUN;
use crate::{ReportError, Table1, Table1Row, write_atomically};

/// One colour a group; more groups begin again, but stand side by side in the order of the legend.
const GROUP_COLOURS: [Colour; 4] =
    [Colour::BLUE, Colour::VERMILLION, Colour::BLUISH_GREEN, Colour::REDDISH_PURPLE];

const STRIP: usize = 44;
const SETTING_GAP: usize = 22;
const PLOT_HEIGHT: usize = 280;
const TITLE_HEIGHT: usize = 44;
const NAMES_HEIGHT: usize = 40;
const LEFT: usize = 84;
const PANEL_GAP: usize = 28;
const LEGEND_HEIGHT: usize = 40;
const TEXT: f32 = 20.0;
const TITLE: f32 = 22.0;
const LINE_HEIGHT: usize = TITLE_HEIGHT + PLOT_HEIGHT + NAMES_HEIGHT;

impl Table1 {
    /// A PNG of one label: a line for each labelling, a panel for each B, a strip of dots for each setting and group.
    ///
    /// A dot is the DSC of a case (its seeds averaged), a bar the mean.
    ///
    /// # Errors
    /// [`ReportError::Figure`] if no score has this label.
    pub fn dsc_figure(&self, label: &str) -> Result<Vec<u8>, ReportError> {
        let layouts = self.layouts();
        let Some(layout) = layouts.iter().find(|layout| layout.label == label) else {
            let known: Vec<&str> = layouts.iter().map(|layout| layout.label).collect();
            return Err(ReportError::Figure { problem: format!("no label `{label}`; there are {known:?}") });
        };
        let groups: Vec<&str> = layout.group_sizes.iter().map(|&(group, _)| group).collect();
        let find = |labelling: &str, batch_size: usize, setting: &str, group: &str| {
            self.rows.iter().find(|row| names(row) == (labelling, batch_size, setting, group, label))
        };
        let settings_of = |&(labelling, batch_size): &(&str, usize)| -> Vec<&str> {
            let all = layout.blocks[0].settings.iter().copied();
            let run =
                |setting: &&str| groups.iter().any(|g| find(labelling, batch_size, setting, g).is_some());
            all.filter(run).collect()
        };
        let all_names = layout.blocks[0].settings.iter();
        let widest = all_names.map(|s| text_width(TEXT, s).ceil() as usize + 8).max().unwrap_or(0);
        let slot = (groups.len() * STRIP).max(widest) + SETTING_GAP;

        let panel_width = |row: &(&str, usize)| {
            (settings_of(row).len() * slot).max(text_width(TITLE, &panel_title(row)).ceil() as usize)
        };
        // A line for each labelling; panels of one line follow each other by B.
        let lines: Vec<&[(&str, usize)]> = layout.rows.chunk_by(|a, b| a.0 == b.0).collect();
        let line_width =
            |line: &&[(&str, usize)]| -> usize { line.iter().map(|row| panel_width(row) + PANEL_GAP).sum() };
        let width = LEFT + lines.iter().map(line_width).max().unwrap_or(0);
        let height = lines.len() * LINE_HEIGHT + LEGEND_HEIGHT;
        let mut canvas = Canvas::new(width.max(legend_width(&groups)), height)?;
        for (i, line) in lines.iter().enumerate() {
            let mut left = LEFT;
            for row @ &(labelling, batch_size) in *line {
                let settings = settings_of(row);
                let panel = Panel { left, top: i * LINE_HEIGHT + TITLE_HEIGHT, width: panel_width(row) };
                let slot = panel.width as f32 / settings.len() as f32;
                panel.draw_axes(&mut canvas, left == LEFT, &panel_title(row));
                for (s, setting) in settings.into_iter().enumerate() {
                    let middle = left as f32 + (s as f32 + 0.5) * slot;
                    let below = (panel.top + PLOT_HEIGHT) as f32 + 20.0;
                    canvas.text(middle - text_width(TEXT, setting) / 2.0, below, TEXT, Colour::TEXT, setting);
                    for (g, &group) in groups.iter().enumerate() {
                        let strip = middle + (g as f32 - (groups.len() - 1) as f32 / 2.0) * STRIP as f32;
                        let row = find(labelling, batch_size, setting, group);
                        panel.draw_strip(&mut canvas, strip, row, GROUP_COLOURS[g % GROUP_COLOURS.len()]);
                    }
                }
                left += panel.width + PANEL_GAP;
            }
        }
        draw_legend(&mut canvas, &groups, lines.len() * LINE_HEIGHT + LEGEND_HEIGHT / 2);
        Ok(canvas.to_png())
    }

    /// Writes [`Self::dsc_figure`] as a PNG file.
    pub fn write_dsc_figure(&self, label: &str, path: &Path) -> Result<(), ReportError> {
        write_atomically(path, &self.dsc_figure(label)?)
    }
}

fn panel_title((labelling, batch_size): &(&str, usize)) -> String {
    format!("{labelling}, B = {batch_size}")
}

fn names(row: &Table1Row) -> (&str, usize, &str, &str, &str) {
    (&row.cell.labelling, row.cell.batch_size, &row.cell.setting, &row.group, &row.label)
}

/// The place of one labelling and B.
struct Panel {
    left: usize,
    top: usize,
    width: usize,
}

impl Panel {
    /// Height of a DSC in the picture.
    fn y(&self, dsc: f64) -> f32 {
        self.top as f32 + PLOT_HEIGHT as f32 * (1.0 - dsc as f32)
    }

    fn draw_axes(&self, canvas: &mut Canvas, with_numbers: bool, title: &str) {
        let middle = self.left as f32 + self.width as f32 / 2.0;
        let above = self.top as f32 - TITLE_HEIGHT as f32 / 2.0;
        canvas.text(middle - text_width(TITLE, title) / 2.0, above, TITLE, Colour::TEXT, title);
        for tenth in [0, 2, 4, 6, 8, 10] {
            let y = self.y(f64::from(tenth) / 10.0);
            let line = Rect { x: self.left as i64, y: y as i64, width: self.width as i64, height: 1 };
            canvas.fill(line, if tenth == 0 { Colour::FAINT_TEXT } else { Colour::GRID }, 1.0);
            if with_numbers {
                let number = format!("{:.1}", f64::from(tenth) / 10.0);
                let x = self.left as f32 - 8.0 - text_width(TEXT, &number);
                canvas.text(x, y, TEXT, Colour::FAINT_TEXT, &number);
            }
        }
        if with_numbers {
            canvas.text(2.0, self.top as f32 - TITLE_HEIGHT as f32 / 2.0, TEXT, Colour::TEXT, "DSC");
        }
    }

    fn draw_strip(&self, canvas: &mut Canvas, middle: f32, row: Option<&Table1Row>, colour: Colour) {
        let Some(row) = row else {
            let x = middle - text_width(TEXT, NOT_RUN) / 2.0;
            return canvas.text(x, self.y(0.0) - 12.0, TEXT, Colour::FAINT_TEXT, NOT_RUN);
        };
        for (i, &dsc) in row.dsc_of_cases.iter().enumerate() {
            // Multiples of the golden ratio spread dots evenly sideways, the same in every picture.
            let aside = (i as f32 * 0.618_034).fract() - 0.5;
            canvas.disc(middle + aside * (STRIP as f32 - 14.0), self.y(dsc), 3.5, colour, 0.45);
        }
        if let Some(mean) = row.dsc_mean {
            let half = (STRIP as f32 / 2.0 - 2.0) as i64;
            let (x, y) = (middle as i64 - half, self.y(mean).round() as i64);
            canvas.fill(Rect { x: x - 1, y: y - 2, width: 2 * half + 2, height: 6 }, Colour::WHITE, 1.0);
            canvas.fill(Rect { x, y: y - 1, width: 2 * half, height: 4 }, colour, 1.0);
        }
    }
}

const MEANING_OF_MARKS: &str = "dot: case, bar: mean";

fn legend_width(groups: &[&str]) -> usize {
    let groups: f32 = groups.iter().map(|group| 22.0 + text_width(TEXT, group) + 28.0).sum();
    (LEFT as f32 + groups + text_width(TEXT, MEANING_OF_MARKS) + 12.0).ceil() as usize
}

fn draw_legend(canvas: &mut Canvas, groups: &[&str], y: usize) {
    let (mut x, y) = (LEFT as f32, y as f32);
    for (g, group) in groups.iter().enumerate() {
        canvas.disc(x + 7.0, y, 7.0, GROUP_COLOURS[g % GROUP_COLOURS.len()], 1.0);
        canvas.text(x + 22.0, y, TEXT, Colour::TEXT, group);
        x += 22.0 + text_width(TEXT, group) + 28.0;
    }
    canvas.text(x, y, TEXT, Colour::FAINT_TEXT, MEANING_OF_MARKS);
}
