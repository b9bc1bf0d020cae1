//! Axes, panels and legends that all charts share.

use super::Colour;
use super::canvas::text_width;
use super::scene::{Anchor, Dash, Paint, Point, Scene};

/// Height of a line of text.
pub(crate) const TEXT: f32 = 15.0;
/// Height of a line of a panel's title.
pub(crate) const TITLE: f32 = 17.0;

/// Colours of settings in the order of the table, from the palette of Okabe and Ito without those that vanish on
/// white or on black.
const SETTING_COLOURS: [Colour; 6] = [
    Colour::BLUE,
    Colour::VERMILLION,
    Colour::BLUISH_GREEN,
    Colour::REDDISH_PURPLE,
    Colour::ORANGE,
    Colour::SKY_BLUE,
];

pub(crate) fn setting_colour(place: usize) -> Colour {
    SETTING_COLOURS[place % SETTING_COLOURS.len()]
}

/// Dashes of batch sizes in increasing order: the largest is solid, smaller ones have shorter dashes.
pub(crate) fn batch_size_dash(place: usize, count: usize) -> Dash {
    match count - 1 - place {
        0 => None,
        1 => Some((7.0, 4.0)),
        _ => Some((2.0, 4.0)),
    }
}

/// A scale with a name and numbers.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    from: f64,
    to: f64,
    logarithmic: bool,
    pub(crate) label: String,
    /// Values and what is written beside them.
    pub(crate) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis over a range, widened to whole ticks.
    pub(crate) fn linear(label: impl Into<String>, from: f64, to: f64) -> Self {
        let (from, to) = if to > from { (from, to) } else { (from - 0.5, from + 0.5) };
        let rough = (to - from) / 4.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = ((from / step + 1e-9).floor() as i64, (to / step - 1e-9).ceil() as i64);
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let tick = |i: i64| (i as f64 * step, minus(format!("{:.decimals$}", i as f64 * step)));
        let ticks = (first..=last).map(tick).collect();
        let (from, to) = (first as f64 * step, last as f64 * step);
        Self { from, to, logarithmic: false, label: label.into(), ticks }
    }

    /// A logarithmic axis over a range above 0, widened to whole powers of ten.
    pub(crate) fn logarithmic(label: impl Into<String>, from: f64, to: f64) -> Self {
        let (first, last) = (from.log10().floor() as i32, to.log10().ceil() as i32);
        let last = last.max(first + 1);
        let every = ((last - first + 5) / 6).max(1) as usize;
        let tick = |power: i32| (10f64.powi(power), format!("10{}", superscript(power)));
        let ticks = (first..=last).step_by(every).map(tick).collect();
        let (from, to) = (10f64.powi(first), 10f64.powi(last));
        Self { from, to, logarithmic: true, label: label.into(), ticks }
    }

    /// Where a value lies between the ends, 0 to 1; values outside are moved to the nearer end.
    fn place(&self, value: f64) -> f32 {
        let share = match self.logarithmic {
            true => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
            false => (value - self.from) / (self.to - self.from),
        };
        share.clamp(0.0, 1.0) as f32
    }
}

/// A number with a true minus sign, and none before 0.
fn minus(text: String) -> String {
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| matches!(c, '0' | '.')) => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

fn superscript(power: i32) -> String {
    let digit = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' => '⁰',
        // ⁴ to ⁹ follow each other.
        other => char::from_u32('⁴' as u32 + other as u32 - '4' as u32).unwrap_or(other),
    };
    power.to_string().chars().map(digit).collect()
}

/// The place of a chart's plot, without its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

impl Panel {
    pub(crate) fn at(&self, (x_axis, y_axis): (&Axis, &Axis), x: f64, y: f64) -> Point {
        (self.left + self.width * x_axis.place(x), self.y(y_axis, y))
    }

    pub(crate) fn y(&self, axis: &Axis, value: f64) -> f32 {
        self.top + self.height * (1.0 - axis.place(value))
    }

    /// Title, grid, numbers and names of both axes.
    pub(crate) fn draw(&self, scene: &mut Scene, title: &str, x_axis: &Axis, y_axis: &Axis) {
        self.draw_y(scene, title, y_axis, true);
        let bottom = self.top + self.height;
        for (value, text) in &x_axis.ticks {
            let x = self.left + self.width * x_axis.place(*value);
            scene.fill(x - 0.5, self.top, 1.0, self.height, Paint::GRID);
            scene.text((x, bottom + 14.0), TEXT, Anchor::Middle, Paint::FAINT, text.as_str());
        }
        let middle = self.left + self.width / 2.0;
        scene.text((middle, bottom + 34.0), TEXT, Anchor::Middle, Paint::TEXT, x_axis.label.as_str());
    }

    /// Title, horizontal grid lines; numbers and name of the y axis where wanted.
    pub(crate) fn draw_y(&self, scene: &mut Scene, title: &str, axis: &Axis, with_numbers: bool) {
        let middle = self.left + self.width / 2.0;
        scene.text((middle, self.top - 15.0), TITLE, Anchor::Middle, Paint::TEXT, title);
        for (value, text) in &axis.ticks {
            let y = self.y(axis, *value);
            scene.fill(self.left, y - 0.5, self.width, 1.0, Paint::GRID);
            if with_numbers {
                scene.text((self.left - 8.0, y), TEXT, Anchor::End, Paint::FAINT, text.as_str());
            }
        }
        if with_numbers {
            let numbers = axis.ticks.iter().map(|(_, text)| text_width(TEXT, text)).fold(0.0, f32::max);
            let x = self.left - numbers - 24.0;
            scene.text_upwards((x, self.top + self.height / 2.0), TEXT, Paint::TEXT, axis.label.as_str());
        }
    }
}

/// One line of a legend.
#[derive(Clone, Debug)]
pub(crate) struct LineLegend {
    pub(crate) colour: Colour,
    pub(crate) dash: Dash,
    pub(crate) text: String,
}

/// Height of one line of a legend.
const LEGEND_LINE: f32 = 22.0;

/// Writes a legend below each other, from (x, y) on; returns where it ends.
pub(crate) fn draw_legend(scene: &mut Scene, x: f32, y: f32, entries: &[LineLegend]) -> f32 {
    for (i, LineLegend { colour, dash, text }) in entries.iter().enumerate() {
        let y = y + LEGEND_LINE * i as f32;
        scene.line(vec![(x, y), (x + 30.0, y)], 2.5, *dash, Paint::solid(*colour));
        scene.text((x + 38.0, y), TEXT, Anchor::Start, Paint::TEXT, text.as_str());
    }
    y + LEGEND_LINE * entries.len() as f32
}

/// Width of a legend.
pub(crate) fn legend_width(entries: &[LineLegend]) -> f32 {
    entries.iter().map(|entry| 38.0 + text_width(TEXT, &entry.text)).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn numbers_of_an_axis_are_round_and_enclose_the_range() {
        assert_eq!(written(&Axis::linear("", 0.0, 1.0)), ["0.0", "0.5", "1.0"]);
        assert_eq!(written(&Axis::linear("", -113.0, 7.0)), ["−150", "−100", "−50", "0", "50"]);
        assert_eq!(written(&Axis::logarithmic("", 3e-13, 2e-11)), ["10⁻¹³", "10⁻¹²", "10⁻¹¹", "10⁻¹⁰"]);
    }

    #[test]
    fn places_run_from_one_end_to_the_other() {
        let axis = Axis::logarithmic("", 1e-4, 1.0);
        for (value, place) in [(1e-4, 0.0), (1e-2, 0.5), (1.0, 1.0), (0.0, 0.0)] {
            assert!((axis.place(value) - place).abs() < 1e-6, "{value}");
        }
    }
}
