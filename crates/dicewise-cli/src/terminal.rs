//! How text looks to whoever reads it: wrapped, coloured and with block letters on a terminal, plain elsewhere.
use std::io::{self, IsTerminal};

use dicewise_report::{colour_wanted, wrapped};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reader {
    /// Columns of the terminal; none for a file or another program, whose lines are neither wrapped nor cut.
    pub(crate) width: Option<usize>,
    /// Whether to use ANSI colours.
    colour: bool,
}

/// Columns of a plot for which nobody has set a width.
const PLAIN_WIDTH: usize = 100;
/// Wider lines are hard to follow.
const MOST: usize = 140;

/// What a colour says; never the only sign of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Strong,
    Faint,
    Good,
    Active,
    Bad,
}

impl Reader {
    /// A file or another program.
    pub(crate) const PROGRAM: Self = Self { width: None, colour: false };

    /// Whoever reads standard output.
    pub(crate) fn of_stdout() -> Self {
        Self::of(io::stdout().is_terminal(), || console::Term::stdout().size().1)
    }

    /// Whoever reads standard error.
    pub(crate) fn of_stderr() -> Self {
        Self::of(io::stderr().is_terminal(), || console::Term::stderr().size().1)
    }

    fn of(is_terminal: bool, columns: impl Fn() -> u16) -> Self {
        let width = is_terminal.then(|| usize::from(columns()).max(20));
        Self { width, colour: colour_wanted(is_terminal) }
    }

    /// The same on a terminal of another width.
    pub(crate) fn resized(self, width: usize) -> Self {
        Self { width: Some(width), ..self }
    }

    /// A terminal of so many columns without colours.
    #[cfg(test)]
    pub(crate) const fn columns(width: usize) -> Self {
        Self { width: Some(width), colour: false }
    }

    pub(crate) fn has_colour(self) -> bool {
        self.colour
    }

    /// Columns that a plot may take.
    pub(crate) fn plot_width(self) -> usize {
        self.width.unwrap_or(PLAIN_WIDTH).min(MOST)
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Active => "1;36",
            Tone::Bad => "1;31",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A bar over a share of so many columns: eighths of a block on a terminal, `#` elsewhere. Whatever is above 0 can be
    /// seen.
    pub(crate) fn bar(self, share: f64, columns: usize) -> String {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        let eighths = (share * 8.0 * columns as f64).round() as usize;
        let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
        if self.width.is_none() {
            return "#".repeat(eighths.div_ceil(8));
        }
        let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        "█".repeat(eighths / 8) + rest
    }

    /// A histogram in one line, a letter for each count, the height in proportion to the largest.
    pub(crate) fn histogram(self, counts: &[usize]) -> String {
        let letters: [char; 9] = match self.width {
            Some(_) => [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
            None => ['.', '1', '2', '3', '4', '5', '6', '7', '8'],
        };
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        counts.iter().map(|&count| letters[(count * 8).div_ceil(most)]).collect()
    }

    /// A paragraph, indented, broken between words where a terminal ends.
    pub(crate) fn paragraph(self, text: &str, indent: usize) -> String {
        let margin = " ".repeat(indent);
        let Some(width) = self.width else { return format!("{margin}{text}\n") };
        let width = width.min(MOST).saturating_sub(indent).max(16);
        wrapped(text, width).iter().map(|line| format!("{margin}{line}\n")).collect()
    }

    /// Lines as they are, but for those that are longer than the terminal is wide.
    pub(crate) fn lines(self, text: &str) -> String {
        let wide = |line: &&str| self.width.is_some_and(|width| columns(line) > width);
        text.lines()
            .map(|line| if wide(&line) { self.paragraph(line, 0) } else { format!("{line}\n") })
            .collect()
    }

    /// A line that does not wrap: what is too long ends in `…`.
    pub(crate) fn cut(self, line: &str) -> String {
        match self.width {
            Some(width) if columns(line) > width => {
                line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            }
            _ => line.to_owned(),
        }
    }
}

/// Columns that a text without colours takes.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion_and_what_is_there_can_be_seen() {
        let terminal = Reader::columns(80);
        assert_eq!(terminal.bar(1.0, 4), "████");
        assert_eq!(terminal.bar(0.5, 4), "██");
        // 0.4 · 4 columns are 12.8 eighths, which rounds to 13.
        assert_eq!(terminal.bar(0.4, 4), "█▋");
        assert_eq!(terminal.bar(1e-9, 4), "▏");
        assert_eq!(terminal.bar(0.0, 4), "");
        assert_eq!(terminal.bar(f64::NAN, 4), "");
        assert_eq!(Reader::PROGRAM.bar(0.4, 4), "##");
    }

    #[test]
    fn a_histogram_is_as_high_as_its_largest_count() {
        assert_eq!(Reader::columns(80).histogram(&[0, 1, 8, 4]), " ▁█▄");
        assert_eq!(Reader::PROGRAM.histogram(&[0, 1, 8, 4]), ".184");
        assert_eq!(Reader::PROGRAM.histogram(&[0, 0]), "..");
    }

    #[test]
    fn paragraphs_fit_a_terminal_and_are_whole_lines_elsewhere() {
        let text = "one two three four five six seven eight";
        let wrapped = Reader::columns(24).paragraph(text, 2);
        assert_eq!(wrapped, "  one two three four\n  five six seven eight\n");
        assert_eq!(Reader::PROGRAM.paragraph(text, 2), format!("  {text}\n"));
        assert_eq!(
            Reader::columns(20).lines("  as it is\n\na   longer line than that"),
            "  as it is\n\na   longer line than\nthat\n"
        );
        assert_eq!(Reader::columns(5).cut("letters"), "lett…");
        assert_eq!(Reader::PROGRAM.cut("letters"), "letters");
    }

    #[test]
    fn nothing_is_painted_without_a_terminal() {
        assert_eq!(Reader::PROGRAM.paint(Tone::Bad, "failed"), "failed");
        let coloured = Reader { width: Some(80), colour: true };
        assert_eq!(coloured.paint(Tone::Good, "done"), "\u{1b}[32mdone\u{1b}[0m");
    }
}
