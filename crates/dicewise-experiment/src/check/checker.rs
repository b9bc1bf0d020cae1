//! Collects mistakes; the checks that every section needs.
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;

use crate::file::Word;
use crate::nearest::nearest;
use crate::{Mistake, MistakeKind};

/// A section of the file and where its header stands.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) span: Range<usize>,
}

impl Section {
    pub(super) fn of<T>(name: &'static str, table: &Spanned<T>) -> Self {
        Self { name, span: table.span() }
    }
}

/// Collects mistakes.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    text: &'a str,
    pub(super) mistakes: Vec<Mistake>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, mistakes: Vec::new() }
    }

    /// Notes a mistake. Quotes around a word are not underlined, so that the column is the word's.
    pub(super) fn add(
        &mut self,
        kind: MistakeKind,
        span: Range<usize>,
        message: String,
        label: &str,
        help: impl Into<String>,
    ) {
        let span = self.unquoted(span);
        self.mistakes.push(Mistake { kind, message, span, label: label.to_owned(), help: help.into() });
    }

    fn unquoted(&self, span: Range<usize>) -> Range<usize> {
        let quoted = self.text.get(span.clone()).unwrap_or_default();
        let inner = ['"', '\''].iter().find_map(|&q| quoted.strip_prefix(q)?.strip_suffix(q));
        match inner {
            // A multi-line string keeps its quotes: its first line may be empty.
            Some(inner) if !inner.is_empty() && !inner.starts_with(['"', '\'']) => {
                span.start + 1..span.start + 1 + inner.len()
            }
            _ => span,
        }
    }

    /// The text at a place.
    pub(super) fn text_at(&self, span: &Range<usize>) -> &'a str {
        self.text.get(self.unquoted(span.clone())).unwrap_or_default()
    }

    /// A key that must be there.
    pub(super) fn required<'t, T>(
        &mut self,
        value: Option<&'t T>,
        section: &Section,
        key: &str,
        example: &str,
    ) -> Option<&'t T> {
        if value.is_none() {
            self.add(
                MistakeKind::Missing,
                section.span.clone(),
                format!("{} has no `{key}`", section.name),
                "missing here",
                format!("add {example}"),
            );
        }
        value
    }

    /// A key that has no meaning together with another one.
    pub(super) fn excluded<T>(&mut self, value: Option<&Spanned<T>>, message: &str, help: &str) {
        if let Some(value) = value {
            self.add(MistakeKind::Conflict, value.span(), message.to_owned(), "not here", help);
        }
    }

    /// One of the accepted words.
    pub(super) fn one_of<T: Clone>(&mut self, word: &Word, what: &str, accepted: &[(&str, T)]) -> Option<T> {
        let found = accepted.iter().find(|(name, _)| name == word.get_ref());
        if found.is_none() {
            let names: Vec<&str> = accepted.iter().map(|&(name, _)| name).collect();
            self.unknown(MistakeKind::UnknownWord, word, what, &names);
        }
        found.map(|(_, value)| value.clone())
    }

    /// A word that is none of those accepted, with the one that was probably meant.
    pub(super) fn unknown(&mut self, kind: MistakeKind, word: &Word, what: &str, accepted: &[&str]) {
        self.unknown_text(kind, word.span(), word.get_ref(), what, accepted);
    }

    pub(super) fn unknown_text(
        &mut self,
        kind: MistakeKind,
        span: Range<usize>,
        word: &str,
        what: &str,
        accepted: &[&str],
    ) {
        let help = match nearest(word, accepted.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`? Accepted: {}", accepted.join(", ")),
            None => format!("accepted: {}", accepted.join(", ")),
        };
        self.add(kind, span, format!("unknown {what} `{word}`"), &format!("not a known {what}"), help);
    }

    /// A whole number inside a range.
    pub(super) fn whole(
        &mut self,
        value: &Spanned<usize>,
        what: &str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let number = *value.get_ref();
        if range.contains(&number) {
            return Some(number);
        }
        let help = if *range.end() == usize::MAX {
            format!("a whole number of {} or more", range.start())
        } else {
            format!("a whole number from {} to {}", range.start(), range.end())
        };
        self.out_of_range(value.span(), what, number, help);
        None
    }

    /// A finite number that fulfils a condition, which `accepted` states.
    pub(super) fn number(
        &mut self,
        value: &Spanned<f64>,
        what: &str,
        fulfils: impl Fn(f64) -> bool,
        accepted: &str,
    ) -> Option<f64> {
        let number = *value.get_ref();
        if number.is_finite() && fulfils(number) {
            return Some(number);
        }
        self.out_of_range(value.span(), what, number, accepted.to_owned());
        None
    }

    pub(super) fn out_of_range(
        &mut self,
        span: Range<usize>,
        what: &str,
        value: impl Display,
        accepted: String,
    ) {
        let message = format!("`{what}` cannot be {value}");
        self.add(MistakeKind::OutOfRange, span, message, "out of range", format!("accepted: {accepted}"));
    }

    /// Numbers for x, y and z.
    pub(super) fn triple<'t, T>(&mut self, list: &'t Spanned<Vec<T>>, what: &str) -> Option<&'t [T; 3]> {
        let triple = <&[T; 3]>::try_from(list.get_ref().as_slice()).ok();
        if triple.is_none() {
            let message = format!("`{what}` has {} numbers instead of three", list.get_ref().len());
            let help = "three numbers, for x, y and z";
            self.add(MistakeKind::WrongLength, list.span(), message, "not three numbers", help);
        }
        triple
    }

    /// Three numbers of voxels. Volumes beyond 2³¹ voxels are refused rather than run out of memory.
    pub(super) fn shape(
        &mut self,
        list: &Spanned<Vec<Spanned<usize>>>,
        what: &str,
        axis: RangeInclusive<usize>,
    ) -> Option<[usize; 3]> {
        let [x, y, z] = self.triple(list, what)?;
        let [x, y, z] = [x, y, z].map(|size| self.whole(size, what, axis.clone()));
        let shape = [x?, y?, z?];
        if shape.iter().product::<usize>() >= 1 << 31 {
            let help = "fewer than 2³¹ voxels in all".to_owned();
            self.out_of_range(list.span(), what, format!("{shape:?}"), help);
            return None;
        }
        Some(shape)
    }

    /// Whether nothing is listed twice; says so if not.
    pub(super) fn distinct<T: PartialEq + Display>(&mut self, list: &[Spanned<T>], what: &str) -> bool {
        let mut distinct = true;
        for (index, item) in list.iter().enumerate() {
            if list[..index].iter().any(|earlier| earlier.get_ref() == item.get_ref()) {
                let message = format!("{what} {} is listed twice", item.get_ref());
                self.add(MistakeKind::Duplicate, item.span(), message, "again", "list it once");
                distinct = false;
            }
        }
        distinct
    }
}
