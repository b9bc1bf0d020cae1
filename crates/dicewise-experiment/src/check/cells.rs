//! Checks `[[cells]]`.
use toml::Spanned;

use super::dataset::KnownGroups;
use super::setting::{self, Loss};
use super::{Checker, Section};
use crate::file::{CellsTable, ExperimentFile, Word};
use crate::{CellBlock, Labelling, MistakeKind, Setting, Target};

/// A spelled-out setting for full and for partial labels; None where it has mistakes.
type SpelledOut = (String, [Option<Setting>; 2]);

pub(super) fn blocks(
    checker: &mut Checker<'_>,
    file: &ExperimentFile,
    target: Option<&Target>,
    loss: Option<&Loss>,
    known: &KnownGroups,
    top: &Section,
) -> Option<Vec<CellBlock>> {
    let loss = loss?;
    let mut settings: Vec<SpelledOut> = Vec::new();
    for table in &file.setting {
        match setting::spelled_out(checker, table, target, loss, &settings) {
            Some(setting) => settings.push(setting),
            // Known by name, so that a mistake in it is not reported again where it is used.
            None => {
                let name = table.get_ref().name.as_ref();
                settings.extend(name.map(|name| (name.get_ref().clone(), [None, None])));
            }
        }
    }
    if file.cells.is_empty() {
        let example =
            "a section [[cells]] with labelling = \"full\", settings = [\"I\", \"BI\"], batch_sizes = [2]";
        checker.required(None::<&()>, top, "[[cells]]", example);
        return None;
    }
    let mut seen = Vec::new();
    let blocks: Vec<_> = file
        .cells
        .iter()
        .map(|table| {
            let partial = file.partial.is_some();
            block(checker, table, partial, (target, known), loss, &settings, &mut seen)
        })
        .collect();
    blocks.into_iter().collect()
}

fn block(
    checker: &mut Checker<'_>,
    table: &Spanned<CellsTable>,
    has_partial: bool,
    (target, known): (Option<&Target>, &KnownGroups),
    loss: &Loss,
    spelled_out: &[SpelledOut],
    seen: &mut Vec<(Labelling, String, usize)>,
) -> Option<CellBlock> {
    let section = Section::of("[[cells]]", table);
    let table = table.get_ref();
    let example = "labelling = \"full\" or labelling = \"partial\"";
    let word = checker.required(table.labelling.as_ref(), &section, "labelling", example);
    let accepted = [("full", Labelling::Full), ("partial", Labelling::Partial)];
    let labelling = word.and_then(|word| checker.one_of(word, "labelling", &accepted));
    if let (Some(word), Some(Labelling::Partial), false) = (word, labelling, has_partial) {
        let message = "partial labels, but no section [partial] says what is missing".to_owned();
        let help =
            "add [partial] with label = \"LABEL\" and group = \"GROUP\": that label is emptied in that group";
        checker.add(MistakeKind::Missing, word.span(), message, "not described", help);
    }
    let names = checker.required(table.settings.as_ref(), &section, "settings", "settings = [\"I\", \"BI\"]");
    let sizes = checker.required(table.batch_sizes.as_ref(), &section, "batch_sizes", "batch_sizes = [2]");
    let sizes = sizes.and_then(|sizes| {
        let values: Vec<_> =
            sizes.get_ref().iter().map(|size| checker.whole(size, "batch_sizes", 1..=65_536)).collect();
        if values.is_empty() {
            let message = "`batch_sizes` is empty".to_owned();
            checker.add(MistakeKind::Missing, sizes.span(), message, "no batch size", "for example [1, 2]");
            return None;
        }
        checker.distinct(sizes.get_ref(), "batch size");
        values.into_iter().collect::<Option<Vec<usize>>>()
    });
    let repeat = match &table.repeat {
        None => Some(Vec::new()),
        Some(repeat) => super::dataset::repeats(checker, repeat, known),
    };
    if names.is_some_and(|names| names.get_ref().is_empty()) {
        let span = names.map_or(0..0, Spanned::span);
        let help = "for example [\"I\", \"BI\", \"I_eps\"]";
        checker.add(MistakeKind::Missing, span, "`settings` is empty".to_owned(), "no setting", help);
        return None;
    }
    let names = names?;
    let distinct = checker.distinct(names.get_ref(), "setting");
    let settings: Vec<_> = names
        .get_ref()
        .iter()
        .map(|name| named(checker, name, labelling.unwrap_or(Labelling::Full), target, loss, spelled_out))
        .collect();
    let (labelling, batch_sizes) = (labelling?, sizes?);
    if distinct {
        repeated(checker, names.get_ref(), labelling, &batch_sizes, seen);
    }
    let settings = settings.into_iter().collect::<Option<_>>()?;
    Some(CellBlock { labelling, settings, batch_sizes, repeat: repeat? })
}

/// The setting of that name.
fn named(
    checker: &mut Checker<'_>,
    word: &Word,
    labelling: Labelling,
    target: Option<&Target>,
    loss: &Loss,
    spelled_out: &[SpelledOut],
) -> Option<Setting> {
    let name = word.get_ref().as_str();
    if let Some(setting) = loss.built_in(name, labelling, target) {
        let fits = name != "marginal" || setting::marginal_fits(checker, word, target);
        return fits.then_some(setting);
    }
    if let Some((_, settings)) = spelled_out.iter().find(|(other, _)| other == name) {
        return settings[usize::from(labelling == Labelling::Partial)].clone();
    }
    let own = spelled_out.iter().map(|(name, _)| name.as_str());
    let accepted: Vec<&str> = Setting::BUILT_IN.into_iter().chain(own).collect();
    checker.unknown(MistakeKind::UnknownSetting, word, "setting", &accepted);
    if let Some(mistake) = checker.mistakes.last_mut() {
        mistake.help.push_str(", or the name of a [[setting]]");
    }
    None
}

/// Says so when another block has the same cell: both would write to one folder.
fn repeated(
    checker: &mut Checker<'_>,
    names: &[Word],
    labelling: Labelling,
    batch_sizes: &[usize],
    seen: &mut Vec<(Labelling, String, usize)>,
) {
    let earlier = seen.len();
    for word in names {
        for &batch_size in batch_sizes {
            let cell = (labelling, word.get_ref().clone(), batch_size);
            if seen[..earlier].contains(&cell) {
                let message =
                    format!("{labelling} labels with {} and B = {batch_size} are listed twice", cell.1);
                let help = "every combination of labelling, setting and batch size once";
                checker.add(MistakeKind::Duplicate, word.span(), message, "again", help);
            } else {
                seen.push(cell);
            }
        }
    }
}
