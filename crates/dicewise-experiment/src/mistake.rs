//! Mistakes in an experiment file, shown where they stand.
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// Why an experiment cannot be used. The program shows it and exits with [`ExperimentError::EXIT_CODE`].
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum ExperimentError {
    /// The file could not be read.
    #[error("cannot read the experiment file {}: {source}", path.display())]
    #[diagnostic(
        code(dicewise::experiment::unreadable),
        help("give the path of an experiment file, for example experiments/phantom.toml")
    )]
    Unreadable {
        /// The path that was given.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file was read but contains mistakes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(Box<InvalidExperiment>),
    /// A configuration written by an earlier run (`config.toml` in a cell's folder) could not be understood.
    #[error("{}: not a configuration that this version of dicewise wrote: {message}", path.display())]
    #[diagnostic(
        code(dicewise::experiment::configuration),
        help("give another folder with --out, or delete this one to train the cell anew")
    )]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

impl ExperimentError {
    /// Exit code of a program that was given bad input.
    pub const EXIT_CODE: u8 = 2;
}

/// What kind of mistake it is: the last part of a diagnostic's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MistakeKind {
    /// Not TOML.
    Syntax,
    /// A key that this section does not have.
    UnknownKey,
    /// A word that is not among those accepted here.
    UnknownWord,
    /// A setting that is neither built in nor spelled out in the file.
    UnknownSetting,
    /// A label that `[target]` does not declare.
    UnknownLabel,
    /// A group that the data do not have.
    UnknownGroup,
    /// A value of another type.
    WrongType,
    /// A number outside its range.
    OutOfRange,
    /// A key that must be there is not.
    Missing,
    /// Two things that exclude each other.
    Conflict,
    /// The same thing twice.
    Duplicate,
    /// A list of the wrong length.
    WrongLength,
    /// An ε for each class with a partition whose subsets mix classes.
    EpsilonMixesClasses,
    /// Marginal treatment without softmax or without background.
    MarginalNeedsSoftmax,
    /// More subjects are asked for than there are.
    NotEnoughSubjects,
    /// A size that the network's levels do not divide.
    NotDivisible,
    /// An environment variable that is not set.
    UnsetVariable,
}

impl MistakeKind {
    fn code(self) -> &'static str {
        match self {
            Self::Syntax => "dicewise::experiment::syntax",
            Self::UnknownKey => "dicewise::experiment::unknown_key",
            Self::UnknownWord => "dicewise::experiment::unknown_word",
            Self::UnknownSetting => "dicewise::experiment::unknown_setting",
            Self::UnknownLabel => "dicewise::experiment::unknown_label",
            Self::UnknownGroup => "dicewise::experiment::unknown_group",
            Self::WrongType => "dicewise::experiment::wrong_type",
            Self::OutOfRange => "dicewise::experiment::out_of_range",
            Self::Missing => "dicewise::experiment::missing",
            Self::Conflict => "dicewise::experiment::conflict",
            Self::Duplicate => "dicewise::experiment::duplicate",
            Self::WrongLength => "dicewise::experiment::wrong_length",
            Self::EpsilonMixesClasses => "dicewise::experiment::epsilon_mixes_classes",
            Self::MarginalNeedsSoftmax => "dicewise::experiment::marginal_needs_softmax",
            Self::NotEnoughSubjects => "dicewise::experiment::not_enough_subjects",
            Self::NotDivisible => "dicewise::experiment::not_divisible",
            Self::UnsetVariable => "dicewise::experiment::unset_variable",
        }
    }
}

/// One mistake: what is wrong, where, and what would be accepted there.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// Its kind.
    pub kind: MistakeKind,
    /// What is wrong, in one line.
    pub message: String,
    /// The bytes of the file that are wrong.
    pub span: Range<usize>,
    /// What is written under those bytes.
    pub label: String,
    /// What is accepted.
    pub help: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.kind.code()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_primary_with_span(Some(self.label.clone()), self.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// An experiment file with one mistake or more, in the order of the file. Shown as the first, the others beneath it.
#[derive(Debug)]
pub struct InvalidExperiment {
    source: NamedSource<String>,
    first: Mistake,
    others: Vec<Mistake>,
}

impl InvalidExperiment {
    pub(crate) fn new(name: &str, text: &str, first: Mistake, others: Vec<Mistake>) -> Self {
        Self { source: NamedSource::new(name, text.to_owned()).with_language("toml"), first, others }
    }

    /// The mistakes in the order of the file.
    pub fn mistakes(&self) -> impl Iterator<Item = &Mistake> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl fmt::Display for InvalidExperiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.first, f)
    }
}

impl std::error::Error for InvalidExperiment {}

impl Diagnostic for InvalidExperiment {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.first.code()
    }

    fn severity(&self) -> Option<Severity> {
        self.first.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.first.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.first.labels()
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        if self.others.is_empty() {
            return None;
        }
        Some(Box::new(self.others.iter().map(|mistake| mistake as &dyn Diagnostic)))
    }
}
