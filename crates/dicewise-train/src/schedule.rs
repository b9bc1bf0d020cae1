//! The learning rate over a training, and when to stop.
use serde::{Deserialize, Serialize};

use crate::exact;

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// `lr · (1 + cos(π · iteration / iterations)) / 2`.
    Cosine,
    /// Keras' `ReduceLROnPlateau` and `EarlyStopping` on the monitored validation loss.
    Plateau {
        /// Multiplies the rate when the loss has not improved for `patience` validations.
        factor: f64,
        /// Validations without improvement before the rate falls.
        patience: usize,
        /// Validations without improvement before training stops.
        stop_patience: usize,
        /// What counts as an improvement: a loss lower by more than this.
        min_delta: f64,
    },
}

/// What a [`Schedule`] remembers; saved in checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// Current factor on the initial rate (plateau only).
    #[serde(with = "exact::number")]
    scale: f64,
    #[serde(with = "exact::option")]
    best: Option<f64>,
    since_best: usize,
    since_drop: usize,
}

impl Default for ScheduleState {
    fn default() -> Self {
        Self { scale: 1.0, best: None, since_best: 0, since_drop: 0 }
    }
}

impl Schedule {
    /// The factor on the initial learning rate at an iteration.
    pub fn factor(&self, state: &ScheduleState, iteration: usize, iterations: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => {
                (1.0 + (std::f64::consts::PI * iteration as f64 / iterations.max(1) as f64).cos()) / 2.0
            }
            Self::Plateau { .. } => state.scale,
        }
    }

    /// Takes note of a validation loss. Returns whether training should stop.
    pub fn observe(&self, state: &mut ScheduleState, loss: f64) -> bool {
        let Self::Plateau { factor, patience, stop_patience, min_delta } = *self else {
            return false;
        };
        if state.best.is_none_or(|best| loss < best - min_delta) {
            *state = ScheduleState { best: Some(loss), since_best: 0, since_drop: 0, ..*state };
            return false;
        }
        state.since_best += 1;
        state.since_drop += 1;
        if state.since_drop >= patience {
            state.scale *= factor;
            state.since_drop = 0;
        }
        state.since_best >= stop_patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLATEAU: Schedule =
        Schedule::Plateau { factor: 0.2, patience: 3, stop_patience: 5, min_delta: 0.01 };

    #[test]
    fn a_plateau_lowers_the_rate_and_then_stops() {
        let mut state = ScheduleState::default();
        // 0.995 is no improvement over 1.0, because it is within min_delta.
        let stops: Vec<bool> =
            [1.0, 0.995, 1.0, 1.0, 1.0, 1.0].iter().map(|&loss| PLATEAU.observe(&mut state, loss)).collect();
        assert_eq!(stops, [false, false, false, false, false, true]);
        assert_eq!(PLATEAU.factor(&state, 0, 0), 0.2);
    }

    #[test]
    fn an_improvement_resets_the_waiting_but_not_the_rate() {
        let mut state = ScheduleState::default();
        for loss in [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5] {
            assert!(!PLATEAU.observe(&mut state, loss));
        }
        assert_eq!(PLATEAU.factor(&state, 0, 0), 0.2);
    }

    #[test]
    fn cosine_goes_from_one_to_zero() {
        let state = ScheduleState::default();
        let factors = [0, 50, 100].map(|i| Schedule::Cosine.factor(&state, i, 100));
        assert_eq!(factors[0], 1.0);
        assert!((factors[1] - 0.5).abs() < 1e-12);
        assert!(factors[2].abs() < 1e-12);
    }
}
