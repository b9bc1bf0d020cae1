//! A progress bar on standard error, if that is a terminal.
use indicatif::{ProgressBar, ProgressStyle};

/// A bar over so many cases; `verb` says what happens to them.
pub(crate) fn over_cases(total: usize, verb: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} cases, {eta} left  {msg}")
        .expect("the template is right");
    ProgressBar::new(total as u64).with_style(style).with_prefix(verb)
}
