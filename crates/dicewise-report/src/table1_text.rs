//! Table 1 as Markdown and for the terminal.

use std::ffi::OsString;
use std::fmt::Write;

use crate::Table1;
use crate::table1_layout::{Block, Layout, Metric, NOT_RUN};

/// How the terminal version looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalStyle {
    /// Whether to use ANSI colours; see [`colour_wanted`].
    pub colour: bool,
    /// Columns of the terminal. A wider table is cut between DSC and ΔV; `None` never cuts.
    pub width: Option<usize>,
}

/// Whether output should be coloured: on a terminal that is not `dumb`, unless `NO_COLOR` is set and not empty.
pub fn colour_wanted(is_terminal: bool) -> bool {
    is_terminal && environment_allows_colour(|name| std::env::var_os(name))
}

fn environment_allows_colour(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty())
        && variable("TERM").is_none_or(|term| term != "dumb")
}

impl Table1 {
    /// The table in the paper's arrangement, in GitHub's Markdown; one table for each label.
    pub fn to_markdown(&self) -> String {
        let layouts = self.layouts();
        let mut text = String::new();
        for layout in &layouts {
            let _ = writeln!(text, "**{}**\n", escape(&layout.title()));
            text.push_str("| labels | B |");
            let mut rule = String::from("|:--|--:|");
            for (block, setting) in layout.columns() {
                let name = format!("{} {}", block.metric.title(), block.group);
                let _ = write!(text, " {}<br>{} |", escape(&name), escape(setting));
                rule.push_str("--:|");
            }
            let _ = writeln!(text, "\n{rule}");
            for (row, (labelling, batch_size)) in layout.rows.iter().enumerate() {
                let _ = write!(text, "| {} | {batch_size} |", escape(labelling));
                for entry in layout.blocks.iter().flat_map(|block| &block.entries[row]) {
                    let emphasis = if entry.low { "**" } else { "" };
                    let _ = write!(text, " {emphasis}{}{emphasis} |", entry.text);
                }
                text.push('\n');
            }
            text.push('\n');
        }
        for line in self.legend() {
            let _ = writeln!(text, "- {}", escape(&line));
        }
        text
    }

    /// The table in the paper's arrangement for a terminal; one table for each label.
    pub fn to_terminal(&self, style: TerminalStyle) -> String {
        let mut text = String::new();
        for layout in &self.layouts() {
            let _ = writeln!(text, "{}\n", paint(style, BOLD, &layout.title()));
            let all: Vec<&Block> = layout.blocks.iter().collect();
            let fits = |blocks: &[&Block]| style.width.is_none_or(|width| layout.width(blocks) <= width);
            if fits(&all) {
                layout.write_terminal(&mut text, &all, style);
            } else {
                for metric in [Metric::Dsc, Metric::VolumeDifference] {
                    let blocks: Vec<&Block> = layout.blocks.iter().filter(|b| b.metric == metric).collect();
                    layout.write_terminal(&mut text, &blocks, style);
                }
            }
        }
        for line in self.legend() {
            for piece in wrapped(&line, style.width.unwrap_or(usize::MAX)) {
                let _ = writeln!(text, "{piece}");
            }
        }
        text
    }
}

/// A text in lines of at most so many letters, broken between words; a longer word has a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            line.push_str(word);
        } else if self::width(line) + 1 + self::width(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

impl<'a> Layout<'a> {
    pub(crate) fn title(&self) -> String {
        let sizes: Vec<String> =
            self.group_sizes.iter().map(|(group, n)| format!("{group} n = {n}")).collect();
        format!("Label {}, cases: {}", self.label, sizes.join(", "))
    }

    fn columns(&self) -> impl Iterator<Item = (&Block<'a>, &'a str)> {
        self.blocks.iter().flat_map(|block| block.settings.iter().map(move |&setting| (block, setting)))
    }

    /// Widths of `labels` and `B`.
    fn row_name_widths(&self) -> (usize, usize) {
        let labels = self.rows.iter().map(|(l, _)| width(l)).fold(width("labels"), usize::max);
        let batch_sizes = self.rows.iter().map(|(_, b)| b.to_string().len()).fold(1, usize::max);
        (labels, batch_sizes)
    }

    fn width(&self, blocks: &[&Block]) -> usize {
        let (labels, batch_sizes) = self.row_name_widths();
        labels + 2 + batch_sizes + blocks.iter().map(|b| BLOCK_GAP.len() + b.width()).sum::<usize>()
    }

    fn write_terminal(&self, text: &mut String, blocks: &[&Block], style: TerminalStyle) {
        let (labels, batch_sizes) = self.row_name_widths();
        let mut titles = " ".repeat(labels + 2 + batch_sizes);
        let mut names = format!("{}  {}", pad_right("labels", labels), pad_left("B", batch_sizes));
        for block in blocks {
            let _ = write!(titles, "{BLOCK_GAP}{}", pad_right(&block.title(), block.width()));
            let settings = block.settings.iter().zip(block.column_widths());
            let settings: Vec<String> = settings.map(|(setting, width)| pad_left(setting, width)).collect();
            let _ = write!(names, "{BLOCK_GAP}{}", pad_right(&settings.join(COLUMN_GAP), block.width()));
        }
        let rule = "─".repeat(self.width(blocks));
        let titles = paint(style, BOLD, titles.trim_end());
        let _ = writeln!(text, "{titles}\n{}\n{rule}", names.trim_end());
        for (row, (labelling, batch_size)) in self.rows.iter().enumerate() {
            let batch_size = pad_left(&batch_size.to_string(), batch_sizes);
            let mut line = format!("{}  {batch_size}", pad_right(labelling, labels));
            for block in blocks {
                let mut entries = Vec::new();
                for (entry, width) in block.entries[row].iter().zip(block.column_widths()) {
                    let colour = match (entry.low, entry.text == NOT_RUN) {
                        (true, _) => LOW_COLOUR,
                        (_, true) => DIM,
                        _ => PLAIN,
                    };
                    // Padded first: colour codes have no width.
                    entries.push(paint(style, colour, &pad_left(&entry.text, width)));
                }
                let missing = block.width() - block.column_widths().iter().sum::<usize>();
                let missing = missing - COLUMN_GAP.len() * (entries.len() - 1);
                let _ = write!(line, "{BLOCK_GAP}{}{}", entries.join(COLUMN_GAP), " ".repeat(missing));
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text.push('\n');
    }
}

const COLUMN_GAP: &str = "  ";
const BLOCK_GAP: &str = "    ";

impl Block<'_> {
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.metric.title(), self.group)
    }

    fn column_widths(&self) -> Vec<usize> {
        let column = |i: usize| {
            self.entries.iter().map(|row| width(&row[i].text)).fold(width(self.settings[i]), usize::max)
        };
        (0..self.settings.len()).map(column).collect()
    }

    fn width(&self) -> usize {
        let widths = self.column_widths();
        let columns = widths.iter().sum::<usize>() + COLUMN_GAP.len() * (widths.len() - 1);
        columns.max(width(&self.title()))
    }
}

const PLAIN: &str = "";
const BOLD: &str = "1";
const DIM: &str = "2";
/// Bold yellow: readable with any colour vision, and never the only sign, since ▼ stands there too.
const LOW_COLOUR: &str = "1;33";

fn paint(style: TerminalStyle, code: &str, text: &str) -> String {
    if style.colour && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad_left(text: &str, to: usize) -> String {
    format!("{text:>to$}")
}

fn pad_right(text: &str, to: usize) -> String {
    format!("{text:<to$}")
}

/// Names are data: they may not break out of their table cell.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => escaped.push(' '),
            '|' | '*' | '_' | '`' | '<' | '[' | ']' | '\\' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_not_within() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one unbreakable", 6), ["one", "unbreakable"]);
        // Letters, not bytes.
        assert_eq!(wrapped("ΔV ΔV", 5), ["ΔV ΔV"]);
    }

    #[test]
    fn no_color_and_dumb_terminals_turn_colour_off() {
        let allowed = |name: &'static str, value: &'static str| {
            environment_allows_colour(|asked| (asked == name).then(|| value.into()))
        };
        assert!(allowed("TERM", "xterm-256color"));
        assert!(!allowed("NO_COLOR", "1"));
        // https://no-color.org: only when not empty.
        assert!(allowed("NO_COLOR", ""));
        assert!(!allowed("TERM", "dumb"));
        assert!(!colour_wanted(false));
    }
}
