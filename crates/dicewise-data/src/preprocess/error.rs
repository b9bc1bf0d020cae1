//! What can be wrong with a preprocessing or a case.

/// A case cannot be preprocessed, or a preprocessing makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// A parameter of a step is out of range.
    #[error("preprocessing step `{step}`: `{field}` is {value}; {expected}")]
    Parameter {
        /// The step.
        step: &'static str,
        /// Its parameter.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// The channels and the label map of a case must share a shape.
    #[error(
        "channel {channel} has shape {shape:?}, channel 0 has {expected:?}; resample them to one grid first"
    )]
    ShapeMismatch {
        /// The channel, or the number of channels for the label map.
        channel: usize,
        /// Its shape.
        shape: [usize; 3],
        /// The shape of channel 0.
        expected: [usize; 3],
    },
    /// There is no channel.
    #[error("a case needs at least one channel")]
    NoChannels,
    /// A volume's affine maps different voxels to one place.
    #[error("the affine {affine:?} cannot be inverted; repair the file's header")]
    SingularAffine {
        /// The affine.
        affine: Box<[[f64; 4]; 4]>,
    },
    /// A crop around a label needs a label map.
    #[error(
        "preprocessing crops around the labels (an oracle crop), but this case has no label map; crop about the volume instead"
    )]
    NeedsLabels,
    /// A crop around a label that the case does not have.
    #[error("preprocessing crops around {}, which this case does not have; leave the case out or crop about the volume", .label.map_or("the labels".into(), |l| format!("label {l}")))]
    NothingToCentreOn {
        /// The label; `None` is any label.
        label: Option<u16>,
    },
    /// Probabilities must lie on the working grid.
    #[error("probability volume {class} has shape {shape:?}, the working grid {expected:?}")]
    NotOnWorkingGrid {
        /// The class.
        class: usize,
        /// Shape of its volume.
        shape: [usize; 3],
        /// Shape of the working grid.
        expected: [usize; 3],
    },
}
