//! Checks that an experiment can be made smaller, where that is asked for.
use super::Checker;
use crate::file::ExperimentFile;
use crate::{Data, MistakeKind, Overrides};

pub(super) fn scales(
    checker: &mut Checker<'_>,
    file: &ExperimentFile,
    overrides: &Overrides,
    data: Option<&Data>,
) {
    let resampled = file.preprocessing.as_ref().is_some_and(|table| table.get_ref().spacing_mm.is_some());
    if let (Some(_), Some(Data::Folder { .. }), Some(table), false) =
        (overrides.scale, data, &file.data, resampled)
    {
        let message = "--scale is given, but these images are not resampled".to_owned();
        let help = "add spacing_mm = [x, y, z] to [preprocessing], or leave out --scale";
        checker.add(MistakeKind::Conflict, table.span(), message, "on the grids they came on", help);
    }
}
