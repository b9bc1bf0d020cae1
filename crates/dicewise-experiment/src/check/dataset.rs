//! Checks `[data]`, `[target]`, `[groups]` and `[partial]`.
use toml::Spanned;

use super::folder::Folder;
use super::{Checker, Section};
use crate::file::{Counts, DataTable, GroupsTable, PartialTable, TargetTable, Word};
use crate::{
    Absent, Cue, Data, GroupAssignment, GroupCount, Layout, MistakeKind, OutputActivation, PartialLabelling,
    Target, TargetLabel,
};

const LAYOUTS: [(&str, Layout); 5] = [
    ("auto", Layout::Auto),
    ("nnunet", Layout::NnUnet),
    ("msd", Layout::Msd),
    ("acdc", Layout::Acdc),
    ("brats2018", Layout::Brats2018),
];

pub(super) fn data(
    checker: &mut Checker<'_>,
    table: &Spanned<DataTable>,
    folder: &Folder<'_>,
) -> Option<Data> {
    let section = Section::of("[data]", table);
    let table = table.get_ref();
    match (&table.phantom, &table.path) {
        (Some(_), Some(path)) => {
            let help = "keep `phantom`, or `path` and `layout`";
            checker.excluded(Some(path), "[data] has both `phantom` and `path`", help);
            None
        }
        (Some(kind), None) => {
            let help = "`layout` goes with `path`";
            checker.excluded(table.layout.as_ref(), "a phantom has no `layout`", help);
            phantom(checker, kind, table, &section, folder)
        }
        (None, path) => {
            let example = "phantom = \"tumour\", or path = \"FOLDER\"";
            let path = checker.required(path.as_ref(), &section, "phantom` or `path", example)?;
            let no_phantom = "only a phantom has this";
            let help = "remove it, or write phantom = \"tumour\" instead of `path`";
            checker.excluded(table.phantom_cases.as_ref(), no_phantom, help);
            checker.excluded(table.phantom_subjects.as_ref(), no_phantom, help);
            checker.excluded(table.phantom_shape.as_ref(), no_phantom, help);
            checker.excluded(table.phantom_seed.as_ref(), no_phantom, help);
            let layout = match &table.layout {
                Some(word) => checker.one_of(word, "layout", &LAYOUTS),
                None => Some(Layout::Auto),
            };
            let path = folder.resolve(checker, path);
            Some(Data::Folder { path: path?, layout: layout? })
        }
    }
}

fn phantom(
    checker: &mut Checker<'_>,
    kind: &Word,
    table: &DataTable,
    section: &Section,
    folder: &Folder<'_>,
) -> Option<Data> {
    if folder.overrides.data.is_some() {
        checker.add(
            MistakeKind::Conflict,
            kind.span(),
            "--data is given, but this experiment makes its own data".to_owned(),
            "a phantom",
            "leave out --data, or write path = \"FOLDER\" in [data] instead of `phantom`",
        );
    }
    let heart = checker.one_of(kind, "phantom", &[("tumour", false), ("heart", true)]);
    let shape = checker.required(
        table.phantom_shape.as_ref(),
        section,
        "phantom_shape",
        "phantom_shape = [24, 24, 24]",
    );
    let shape = shape.and_then(|shape| checker.shape(shape, "phantom_shape", 8..=1024));
    let seed = table.phantom_seed.as_ref().map_or(0, |seed| u64::from(*seed.get_ref()));
    if heart? {
        let message = "a heart phantom has subjects, each with a case in ED and one in ES";
        let help = "write phantom_subjects = 30";
        checker.excluded(table.phantom_cases.as_ref(), message, help);
        let subjects = table.phantom_subjects.as_ref();
        let subjects = checker.required(subjects, section, "phantom_subjects", "phantom_subjects = 30")?;
        let subjects = checker.whole(subjects, "phantom_subjects", 2..=100_000);
        return Some(Data::HeartPhantom { shape: shape?, seed, subjects: subjects? });
    }
    let message = "a tumour phantom has cases in two groups";
    let help = "write phantom_cases = { HGG = 30, LGG = 30 }";
    checker.excluded(table.phantom_subjects.as_ref(), message, help);
    let cases = table.phantom_cases.as_ref();
    let example = "phantom_cases = { HGG = 30, LGG = 30 }";
    let cases = checker.required(cases, section, "phantom_cases", example)?;
    for (group, _) in &cases.get_ref().0 {
        const GROUPS: [&str; 3] = ["HGG", "LGG", "control"];
        if !GROUPS.contains(&group.get_ref().as_str()) {
            checker.unknown(MistakeKind::UnknownGroup, group, "group of the tumour phantom", &GROUPS);
        }
    }
    let cases = counts(checker, cases, "cases");
    Some(Data::TumourPhantom { shape: shape?, seed, cases: cases? })
}

/// Counts of groups, none of them 0.
pub(super) fn counts(checker: &mut Checker<'_>, counts: &Counts, what: &str) -> Option<Vec<GroupCount>> {
    if counts.get_ref().0.is_empty() {
        let message = format!("no group has {what}");
        checker.add(
            MistakeKind::Missing,
            counts.span(),
            message,
            "empty",
            "for example { G1 = 48, G0 = 16 }",
        );
        return None;
    }
    let mut checked = Vec::new();
    for (group, count) in &counts.get_ref().0 {
        let count = checker.whole(count, group.get_ref(), 1..=1_000_000);
        checked.push(count.map(|count| GroupCount { group: group.get_ref().clone(), count }));
    }
    checked.into_iter().collect()
}

pub(super) fn target(checker: &mut Checker<'_>, table: &Spanned<TargetTable>) -> Option<Target> {
    let section = Section::of("[target]", table);
    let table = table.get_ref();
    let example = "activation = \"sigmoid\" or activation = \"softmax\"";
    let activation = checker.required(table.activation.as_ref(), &section, "activation", example);
    let accepted = [("sigmoid", OutputActivation::Sigmoid), ("softmax", OutputActivation::Softmax)];
    let activation = activation.and_then(|word| checker.one_of(word, "activation", &accepted));
    let labels = checker.required(table.labels.as_ref(), &section, "labels", "labels = { tumour = [1] }")?;
    if labels.get_ref().0.is_empty() {
        let message = "`labels` is empty: there is nothing to learn".to_owned();
        checker.add(MistakeKind::Missing, labels.span(), message, "no label", "for example { tumour = [1] }");
        return None;
    }
    let mistakes = checker.mistakes.len();
    let mut taken: Vec<(u16, &str)> = Vec::new();
    for (name, values) in &labels.get_ref().0 {
        if name.get_ref() == "background" || name.get_ref().is_empty() {
            let message = "the background is not a label to list".to_owned();
            let help = "list foreground labels; softmax adds the background as class 0";
            checker.add(MistakeKind::Conflict, name.span(), message, "background", help);
        }
        if values.get_ref().is_empty() {
            let message = format!("label `{}` has no values", name.get_ref());
            let help = "the values of the label maps that make it up, for example [1, 2]";
            checker.add(MistakeKind::Missing, values.span(), message, "empty", help);
        }
        for value in values.get_ref() {
            let number = *value.get_ref();
            let owner = taken.iter().find(|(other, _)| *other == number).map(|&(_, owner)| owner);
            match owner {
                _ if number == 0 => {
                    checker.out_of_range(
                        value.span(),
                        name.get_ref(),
                        0,
                        "values from 1: 0 is background".to_owned(),
                    );
                }
                // With sigmoid, regions such as whole tumour and tumour core overlap.
                Some(owner) if activation == Some(OutputActivation::Softmax) || owner == name.get_ref() => {
                    let message = format!("value {number} belongs to label `{owner}` already");
                    let help = "softmax classes exclude each other; overlapping regions need activation = \"sigmoid\"";
                    checker.add(MistakeKind::Duplicate, value.span(), message, "again", help);
                }
                _ => taken.push((number, name.get_ref())),
            }
        }
    }
    let labels = labels.get_ref().0.iter().map(|(name, values)| TargetLabel {
        name: name.get_ref().clone(),
        values: values.get_ref().iter().map(|value| *value.get_ref()).collect(),
    });
    let (labels, soft) = (labels.collect(), table.soft.unwrap_or(false));
    if checker.mistakes.len() > mistakes {
        None
    } else {
        Some(Target { activation: activation?, labels, soft })
    }
}

pub(super) fn groups(
    checker: &mut Checker<'_>,
    table: &Spanned<GroupsTable>,
    data: Option<&Data>,
    target: Option<&Target>,
) -> Option<GroupAssignment> {
    let section = Section::of("[groups]", table);
    if let Some(data) = data
        && let Some(names) = native_groups(data)
    {
        let message = format!("these data have groups of their own: {}", names.join(", "));
        let help = "remove [groups]; it is for data whose layout has none";
        checker.add(MistakeKind::Conflict, section.span, message, "not here", help);
        return None;
    }
    let table = table.get_ref();
    let assign =
        checker.required(table.assign.as_ref(), &section, "assign", "assign = { G1 = 68, G0 = 36 }")?;
    let names: Vec<&str> = assign.get_ref().0.iter().map(|(name, _)| name.get_ref().as_str()).collect();
    let cue = table.cue.as_ref().map(|cue| {
        let section = Section::of("`cue`", cue);
        let group = checker.required(cue.get_ref().group.as_ref(), &section, "group", "group = \"G0\"");
        let group = group.filter(|group| assigned_group(checker, group, &names));
        let amplitude = cue.get_ref().amplitude.as_ref();
        let amplitude = checker.required(amplitude, &section, "amplitude", "amplitude = 1.0");
        let amplitude =
            amplitude.and_then(|value| checker.number(value, "amplitude", |a| a > 0.0, "more than 0"));
        Some(Cue { group: group?.get_ref().clone(), amplitude: amplitude? })
    });
    let absent = table.absent.as_ref().map(|absent| {
        let section = Section::of("`absent`", absent);
        let group = checker.required(absent.get_ref().group.as_ref(), &section, "group", "group = \"G2\"");
        let group = group.filter(|group| assigned_group(checker, group, &names));
        let label = absent.get_ref().label.as_ref();
        let label = checker.required(label, &section, "label", "label = \"posterior\"");
        let label = label.filter(|label| known_label(checker, label, target));
        Some(Absent { group: group?.get_ref().clone(), label: label?.get_ref().clone() })
    });
    let assign = counts(checker, assign, "subjects");
    let cue = match cue {
        Some(cue) => Some(cue?),
        None => None,
    };
    let absent = match absent {
        Some(absent) => Some(absent?),
        None => None,
    };
    Some(GroupAssignment { seed: u64::from(table.seed.unwrap_or(0)), assign: assign?, cue, absent })
}

/// Groups that the data themselves have; None when they have none or it takes a look into the folder to tell.
fn native_groups(data: &Data) -> Option<Vec<String>> {
    let names = match data {
        Data::TumourPhantom { cases, .. } => return Some(cases.iter().map(|c| c.group.clone()).collect()),
        Data::HeartPhantom { .. } | Data::Folder { layout: Layout::Acdc, .. } => ["ED", "ES"],
        Data::Folder { layout: Layout::Brats2018, .. } => ["HGG", "LGG"],
        Data::Folder { layout: Layout::Auto | Layout::NnUnet | Layout::Msd, .. } => return None,
    };
    Some(names.map(str::to_owned).to_vec())
}

/// What the file alone says about groups.
pub(super) struct KnownGroups {
    /// Names, unless only the folder can tell.
    pub(super) names: Option<Vec<String>>,
    /// Subjects of each group, where the file says so.
    pub(super) subjects: Vec<GroupCount>,
    /// Whether a subject has cases in several groups, as a heart has at ED and ES.
    pub(super) shared_subjects: bool,
}

impl KnownGroups {
    pub(super) fn unknown() -> Self {
        Self { names: None, subjects: Vec::new(), shared_subjects: false }
    }

    pub(super) fn of(data: &Data, groups: Option<&GroupAssignment>) -> Self {
        let subjects = match (data, groups) {
            (_, Some(groups)) => groups.assign.clone(),
            (Data::TumourPhantom { cases, .. }, None) => cases.clone(),
            (Data::HeartPhantom { subjects, .. }, None) => {
                ["ED", "ES"].map(|group| GroupCount { group: group.to_owned(), count: *subjects }).to_vec()
            }
            (Data::Folder { .. }, None) => Vec::new(),
        };
        let names = match (groups, data) {
            (Some(groups), _) => Some(groups.assign.iter().map(|count| count.group.clone()).collect()),
            // No names can be checked where they will be seen in the folder only.
            (None, Data::Folder { layout: Layout::Auto, .. }) => None,
            (None, data) => Some(native_groups(data).unwrap_or_default()),
        };
        let shared_subjects =
            matches!(data, Data::HeartPhantom { .. } | Data::Folder { layout: Layout::Acdc, .. });
        Self { names, subjects, shared_subjects }
    }

    /// Whether the group exists, as far as the file can tell; says so if not.
    pub(super) fn check(&self, checker: &mut Checker<'_>, group: &Word) -> bool {
        let Some(names) = &self.names else { return true };
        if names.contains(group.get_ref()) {
            return true;
        }
        if names.is_empty() {
            let message = format!("unknown group `{}`: data in this layout have no groups", group.get_ref());
            let help = "add a section [groups] with assign = { NAME = subjects, … }";
            checker.add(MistakeKind::UnknownGroup, group.span(), message, "no such group", help);
        } else {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            checker.unknown(MistakeKind::UnknownGroup, group, "group", &names);
        }
        false
    }
}

/// How often cases of some groups are shown in an epoch.
pub(super) fn repeats(
    checker: &mut Checker<'_>,
    repeat: &Counts,
    known: &KnownGroups,
) -> Option<Vec<GroupCount>> {
    let counts = counts(checker, repeat, "repetitions");
    let all_known =
        repeat.get_ref().0.iter().fold(true, |all, (group, _)| known.check(checker, group) && all);
    counts.filter(|_| all_known)
}

/// Whether subjects are dealt into the group; says so if not.
fn assigned_group(checker: &mut Checker<'_>, group: &Word, names: &[&str]) -> bool {
    let known = names.contains(&group.get_ref().as_str());
    if !known {
        checker.unknown(MistakeKind::UnknownGroup, group, "group", names);
    }
    known
}

/// Whether the target has the label, as far as it is known; says so if not.
fn known_label(checker: &mut Checker<'_>, label: &Word, target: Option<&Target>) -> bool {
    let Some(target) = target else { return true };
    let known = target.channel(label.get_ref()).is_some();
    if !known {
        let names: Vec<&str> = target.labels.iter().map(|label| label.name.as_str()).collect();
        checker.unknown(MistakeKind::UnknownLabel, label, "label", &names);
    }
    known
}

pub(super) fn partial(
    checker: &mut Checker<'_>,
    table: &Spanned<PartialTable>,
    target: Option<&Target>,
    known: &KnownGroups,
) -> Option<PartialLabelling> {
    let section = Section::of("[partial]", table);
    let label = checker.required(table.get_ref().label.as_ref(), &section, "label", "label = \"tumour\"");
    let group = checker.required(table.get_ref().group.as_ref(), &section, "group", "group = \"LGG\"");
    let label = label.filter(|label| known_label(checker, label, target));
    let group = group.filter(|group| known.check(checker, group));
    Some(PartialLabelling { label: label?.get_ref().clone(), group: group?.get_ref().clone() })
}
