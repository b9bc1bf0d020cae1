//! `metrics.csv` of a trained network: one row an iteration.

use std::path::Path;

use crate::ReportError;

/// What one iteration of a training tells.
///
/// Losses of maps are before class weights and the focal exponent; derivatives are of the whole loss with respect to the
/// prediction. Both are means over the foreground maps of the batch; a map is
/// empty if the training sees no ground truth in it. Values are NaN where the batch had no such map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogRow {
    /// Iterations done.
    pub iteration: f64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Training loss.
    pub loss: f64,
    /// Loss on the validation cases.
    pub validation_loss: f64,
    /// 1 − D_φ of empty maps, φ being the subset that a map is in.
    pub loss_empty: f64,
    /// 1 − D_φ of maps with an object.
    pub loss_present: f64,
    /// ∂L/∂p on empty maps.
    pub push_empty: f64,
    /// ∂L/∂p on maps with an object, where y = 0.
    pub push_present: f64,
    /// −∂L/∂p on maps with an object, where y = 1.
    pub pull_present: f64,
    /// Σp of empty maps, in voxels.
    pub mass_empty: f64,
    /// Σp of maps with an object, in voxels.
    pub mass_present: f64,
}

/// The columns of `metrics.csv`, in order.
pub const METRICS_HEADER: [&str; 11] = [
    "iteration",
    "learning_rate",
    "loss",
    "validation_loss",
    "loss_empty",
    "loss_present",
    "push_empty",
    "push_present",
    "pull_present",
    "mass_empty",
    "mass_present",
];

impl LogRow {
    fn from_fields(field: impl Fn(&str) -> f64) -> Self {
        Self {
            iteration: field("iteration"),
            learning_rate: field("learning_rate"),
            loss: field("loss"),
            validation_loss: field("validation_loss"),
            loss_empty: field("loss_empty"),
            loss_present: field("loss_present"),
            push_empty: field("push_empty"),
            push_present: field("push_present"),
            pull_present: field("pull_present"),
            mass_empty: field("mass_empty"),
            mass_present: field("mass_present"),
        }
    }

    pub(crate) fn fields(&self) -> [f64; 11] {
        [
            self.iteration,
            self.learning_rate,
            self.loss,
            self.validation_loss,
            self.loss_empty,
            self.loss_present,
            self.push_empty,
            self.push_present,
            self.pull_present,
            self.mass_empty,
            self.mass_present,
        ]
    }

    /// The row as it stands in the file: a value that is NaN is an empty field.
    pub fn to_line(&self) -> String {
        let shown = |value: &f64| if value.is_nan() { String::new() } else { value.to_string() };
        self.fields().iter().map(shown).collect::<Vec<_>>().join(",")
    }
}

/// Reads a `metrics.csv`; columns that an older version did not write are NaN.
///
/// # Errors
/// [`ReportError`] with file and line where a field is no number.
pub fn read_metrics(path: &Path) -> Result<Vec<LogRow>, ReportError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    if columns.first() != Some(&METRICS_HEADER[0]) {
        let (found, expected) = (columns.join(","), METRICS_HEADER.join(","));
        return Err(ReportError::Header { path: path.into(), found, expected });
    }
    let mut rows = Vec::new();
    for (line, text) in lines.enumerate() {
        let mut numbers = Vec::new();
        for field in text.split(',') {
            numbers.push(match field {
                "" => f64::NAN,
                field => field.parse().map_err(|_| ReportError::Record {
                    path: path.into(),
                    line: line as u64 + 2,
                    problem: format!("`{field}` is no number"),
                })?,
            });
        }
        let field = |name: &str| {
            let place = columns.iter().position(|column| *column == name);
            place.and_then(|place| numbers.get(place)).copied().unwrap_or(f64::NAN)
        };
        rows.push(LogRow::from_fields(field));
    }
    Ok(rows)
}
