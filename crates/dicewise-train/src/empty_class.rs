//! Noticing that a network has stopped predicting a class.
use dicewise::DiceSums;
use serde::{Deserialize, Serialize};

use crate::exact;

/// Iterations looked back over.
const WINDOW: usize = 50;
/// A class whose predicted mass is below this share of its true mass counts as empty.
const SHARE: f64 = 0.01;

/// A class is predicted empty everywhere although the truth has it. Under softmax, an ε as large as the
/// structure does this to a class early in training; ε warm-up is the remedy.
#[derive(Clone, Debug, PartialEq)]
pub struct EmptyClass {
    /// Iteration at which it was noticed.
    pub iteration: usize,
    /// Output channel.
    pub class: usize,
    /// Mean Σp a sample over the last iterations, in voxels.
    pub predicted: f64,
    /// Mean Σy a sample over the same iterations, in voxels.
    pub target: f64,
}

/// Adds up Σp and Σy per class over windows of iterations. Saved in checkpoints, so that an interruption neither delays
/// a warning nor repeats it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EmptyClassDetector {
    #[serde(with = "exact::list")]
    predicted: Vec<f64>,
    #[serde(with = "exact::list")]
    target: Vec<f64>,
    samples: usize,
    iterations: usize,
    warned: Vec<bool>,
    /// Given out after every iteration, before anything is saved.
    #[serde(skip)]
    pending: Vec<EmptyClass>,
}

impl EmptyClassDetector {
    pub(crate) fn observe(&mut self, iteration: usize, sums: &DiceSums) {
        let classes = sums.classes();
        self.predicted.resize(classes, 0.0);
        self.target.resize(classes, 0.0);
        self.warned.resize(classes, false);
        for (i, (p, y)) in sums.prediction().iter().zip(sums.target()).enumerate() {
            self.predicted[i % classes] += p;
            self.target[i % classes] += y;
        }
        self.samples += sums.batch();
        self.iterations += 1;
        if self.iterations < WINDOW {
            return;
        }
        for class in 0..classes {
            let mean = |sum: f64| sum / self.samples as f64;
            let (predicted, target) = (mean(self.predicted[class]), mean(self.target[class]));
            if target > 0.0 && predicted < SHARE * target && !self.warned[class] {
                self.warned[class] = true;
                self.pending.push(EmptyClass { iteration, class, predicted, target });
            }
        }
        self.predicted.fill(0.0);
        self.target.fill(0.0);
        (self.samples, self.iterations) = (0, 0);
    }

    /// A warning not given yet; each class is warned of once.
    pub(crate) fn take(&mut self) -> Option<EmptyClass> {
        self.pending.pop()
    }
}
