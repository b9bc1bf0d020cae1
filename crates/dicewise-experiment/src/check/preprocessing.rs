//! Checks `[preprocessing]`.
use toml::Spanned;

use super::Checker;
use crate::file::{PreprocessingTable, Word};
use crate::{
    Alignment, Centre, LabelResampling, MistakeKind, Normalise, Preprocessing, Restore, Target, WindowOrder,
};

pub(super) fn preprocessing(
    checker: &mut Checker<'_>,
    table: Option<&Spanned<PreprocessingTable>>,
    target: Option<&Target>,
) -> Option<Preprocessing> {
    let Some(table) = table else {
        return Some(Preprocessing {
            spacing_mm: None,
            alignment: Alignment::Centre,
            labels: LabelResampling::Linear,
            encloses: Vec::new(),
            clip_quantiles: None,
            normalise: Normalise::ZScore,
            size: None,
            centre: Centre::Volume,
            window: WindowOrder::Last,
            restore: Restore::Linear,
        });
    };
    let table = table.get_ref();
    let mistakes = checker.mistakes.len();
    let spacing_mm = table.spacing_mm.as_ref().and_then(|spacing| {
        let triple = checker.triple(spacing, "spacing_mm")?;
        let [x, y, z] = triple.each_ref().map(|mm| {
            checker.number(
                mm,
                "spacing_mm",
                |mm| mm > 0.0 && mm <= 1000.0,
                "millimetres, more than 0 and at most 1000",
            )
        });
        Some([x?, y?, z?])
    });
    let clip_quantiles = table.clip_quantiles.as_ref().and_then(|quantiles| {
        let [low, high] = quantiles.get_ref().as_slice() else {
            let message = "`clip_quantiles` are two numbers".to_owned();
            let help = "the lower and the upper quantile, for example [0.01, 0.99]";
            checker.add(MistakeKind::WrongLength, quantiles.span(), message, "not two numbers", help);
            return None;
        };
        let unit = |q: f64| (0.0..=1.0).contains(&q);
        let low = checker.number(low, "clip_quantiles", unit, "a number from 0 to 1")?;
        let above = |q: f64| unit(q) && q > low;
        let high = checker.number(
            high,
            "clip_quantiles",
            above,
            "a number up to 1, more than the lower quantile",
        )?;
        Some([low, high])
    });
    let size = table.size.as_ref().and_then(|size| checker.shape(size, "size", 1..=4096));
    let normalise = match &table.normalise {
        None => Some(Normalise::ZScore),
        Some(word) => checker.one_of(
            word,
            "normalisation",
            &[
                ("z-score", Normalise::ZScore),
                ("z-score-nonzero", Normalise::ZScoreNonzero),
                ("none", Normalise::None),
            ],
        ),
    };
    let centre = match &table.centre {
        None => Some(Centre::Volume),
        Some(word) => checker.one_of(
            word,
            "centre",
            &[("volume", Centre::Volume), ("label", Centre::Label), ("image", Centre::Image)],
        ),
    };
    let alignment = choice(
        checker,
        &table.alignment,
        "alignment",
        &[("centre", Alignment::Centre), ("corners", Alignment::Corners)],
    );
    let labels = choice(
        checker,
        &table.labels,
        "way of resampling labels",
        &[("linear", LabelResampling::Linear), ("signed-distance", LabelResampling::SignedDistance)],
    );
    let restore = choice(
        checker,
        &table.restore,
        "way back",
        &[("linear", Restore::Linear), ("nearest", Restore::Nearest), ("replicate", Restore::Replicate)],
    );
    let window = choice(
        checker,
        &table.window,
        "order of the window",
        &[("last", WindowOrder::Last), ("first", WindowOrder::First)],
    );
    if table.spacing_mm.is_none() {
        let help = "add spacing_mm = [x, y, z], or remove it";
        checker.excluded(table.alignment.as_ref(), "`alignment` has no effect without `spacing_mm`", help);
        checker.excluded(table.labels.as_ref(), "`labels` has no effect without `spacing_mm`", help);
    }
    let encloses = encloses(checker, table, target);
    if labels != Some(LabelResampling::SignedDistance) {
        let message = "`encloses` has no effect without signed distances";
        checker.excluded(table.encloses.as_ref(), message, "add labels = \"signed-distance\", or remove it");
    }
    let straight = spacing_mm.is_some()
        && size.is_some()
        && centre == Some(Centre::Volume)
        && alignment == Some(Alignment::Centre);
    if window == Some(WindowOrder::First) && !straight {
        let message =
            "the window comes first only about the centre of the volume, in one step with resampling";
        let help = "give `spacing_mm` and `size`, and neither `centre` nor `alignment`; or window = \"last\"";
        checker.excluded(table.window.as_ref(), message, help);
    }
    if let (Some(centre), None) = (&table.centre, &table.size) {
        let message = "`centre` has no effect without `size`";
        checker.excluded(Some(centre), message, "add size = [x, y, z], or remove `centre`");
    }
    if checker.mistakes.len() > mistakes {
        return None;
    }
    Some(Preprocessing {
        spacing_mm,
        alignment: alignment?,
        labels: labels?,
        encloses,
        clip_quantiles,
        normalise: normalise?,
        size,
        centre: centre?,
        window: window?,
        restore: restore?,
    })
}

/// Pairs of labels of the target of which one encloses the other.
fn encloses(
    checker: &mut Checker<'_>,
    table: &PreprocessingTable,
    target: Option<&Target>,
) -> Vec<[String; 2]> {
    let Some(pairs) = &table.encloses else { return Vec::new() };
    let names: Option<Vec<&str>> =
        target.map(|target| target.labels.iter().map(|label| label.name.as_str()).collect());
    for word in pairs.get_ref().0.iter().flat_map(|(outer, inner)| [outer, inner]) {
        if let Some(names) = names.as_ref().filter(|names| !names.contains(&word.get_ref().as_str())) {
            checker.unknown(MistakeKind::UnknownLabel, word, "label", names);
        }
    }
    pairs.get_ref().0.iter().map(|(outer, inner)| [outer, inner].map(|name| name.get_ref().clone())).collect()
}

/// One of the accepted words, the default where there is none.
fn choice<T: Clone + Default>(
    checker: &mut Checker<'_>,
    word: &Option<Word>,
    what: &str,
    accepted: &[(&str, T)],
) -> Option<T> {
    word.as_ref().map_or_else(|| Some(T::default()), |word| checker.one_of(word, what, accepted))
}
