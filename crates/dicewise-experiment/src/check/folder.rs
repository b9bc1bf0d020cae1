//! The folder of the data.
use std::path::{Path, PathBuf};

use super::Checker;
use crate::file::Word;
use crate::{MistakeKind, Overrides};

/// What is needed to find the folder of the data.
pub(super) struct Folder<'a> {
    pub(super) experiment: &'a Path,
    pub(super) overrides: &'a Overrides,
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Folder<'_> {
    /// The command line's folder, or the file's with variables expanded, relative to where the file is.
    pub(super) fn resolve(&self, checker: &mut Checker<'_>, path: &Word) -> Option<PathBuf> {
        if let Some(path) = &self.overrides.data {
            return Some(path.clone());
        }
        let expanded = self.expand(checker, path)?;
        if expanded.is_empty() {
            let message = "`path` is empty".to_owned();
            checker.add(MistakeKind::Missing, path.span(), message, "no folder", "the folder of the data");
            return None;
        }
        let beside = self.experiment.parent().unwrap_or(Path::new(""));
        Some(beside.join(expanded))
    }

    fn expand(&self, checker: &mut Checker<'_>, path: &Word) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = path.get_ref().as_str();
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, after)) = after.split_once('}') else {
                let message = "`${` without `}`".to_owned();
                let help = "a variable is written ${NAME}";
                checker.add(MistakeKind::Syntax, path.span(), message, "not closed", help);
                return None;
            };
            let Some(value) = (self.variable)(name) else {
                // Underline the variable alone when it stands in the file as it is, without escapes.
                let written = format!("${{{name}}}");
                let span = path.span();
                let start = checker.text_at(&span).find(&written);
                let offset = if checker.text_at(&span).len() == span.len() { 0 } else { 1 };
                let span = start.map_or(span.clone(), |start| {
                    let start = span.start + offset + start;
                    start..start + written.len()
                });
                checker.add(
                    MistakeKind::UnsetVariable,
                    span,
                    format!("the environment variable {name} is not set"),
                    "not set",
                    format!("set it, `export {name}=FOLDER`, or give the data's folder with `--data FOLDER`"),
                );
                return None;
            };
            expanded.push_str(before);
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(rest);
        Some(expanded)
    }
}
