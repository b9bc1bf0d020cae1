//! A dataset's folder, opened as the command line says.
use std::path::Path;

use dicewise_data::dataset::{Dataset, DatasetError, Layout};
use dicewise_data::presence::Presence;

use crate::{args, failure, remedy};

/// The layout that the flag names; None to look at the folder.
pub(crate) fn layout(flag: args::Layout) -> Option<Layout> {
    match flag {
        args::Layout::Auto => None,
        args::Layout::NnUnet => Some(Layout::NnUnet),
        args::Layout::Msd => Some(Layout::Msd),
        args::Layout::Acdc => Some(Layout::Acdc),
        args::Layout::Brats2018 => Some(Layout::Brats2018),
    }
}

/// What users call a layout: the word that `--layout` takes.
pub(crate) fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::NnUnet => "nnunet",
        Layout::Msd => "msd",
        Layout::Acdc => "acdc",
        Layout::Brats2018 => "brats2018",
    }
}

/// Lists a dataset, also one that lacks files.
pub(crate) fn list(root: &Path, flag: args::Layout) -> Result<Dataset, DatasetError> {
    let layout = layout(flag).map_or_else(|| Layout::detect(root), Ok)?;
    Dataset::list(root, layout)
}

/// The dataset's `presence.csv`, if there is one.
pub(crate) fn presence(dataset: &Dataset) -> miette::Result<Presence> {
    Presence::of_dataset(dataset).map_err(|error| {
        let remedy = remedy::of_presence_error(&error);
        failure::with_remedy(error, remedy)
    })
}
