use crate::{DiceError, DiceSums, EpsilonSolutions, Presence, Shape, solve_epsilon};

/// The situation in which a loss is explained: a batch in which one map has no ground truth.
///
/// All images hold every class, except that class 1 (class 0 if there is only one) of the last image is
/// without ground truth. The prediction is one probability on an object and one elsewhere: by default 1/C
/// everywhere, the softmax of logits that know nothing yet (½, a sigmoid's, if C = 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    shape: Shape,
    /// Voxels of each class but the background (of the only class if C = 1).
    object_sizes: Vec<f64>,
    inside: f64,
    outside: f64,
}

impl Scenario {
    /// `object_size` is the size in voxels of every class but the background.
    ///
    /// # Errors
    /// Objects that are not larger than 0 or do not fit into the voxels.
    pub fn new(shape: Shape, object_size: f64) -> Result<Self, DiceError> {
        let objects = shape.classes().saturating_sub(1).max(1);
        let uninformed = if shape.classes() == 1 { 0.5 } else { 1.0 / shape.classes() as f64 };
        let scenario =
            Self { shape, object_sizes: vec![object_size; objects], inside: uninformed, outside: uninformed };
        scenario.check_sizes()?;
        Ok(scenario)
    }

    /// One size in voxels for each class but the background.
    ///
    /// # Errors
    /// As [`Scenario::new`], and another number of sizes than of such classes.
    pub fn with_object_sizes(mut self, sizes: Vec<f64>) -> Result<Self, DiceError> {
        if sizes.len() != self.object_sizes.len() {
            let (expected, found) = (self.object_sizes.len(), sizes.len());
            let shape = format!("[{expected}] of the classes without background");
            return Err(DiceError::Length { argument: "object sizes", shape, expected, found });
        }
        self.object_sizes = sizes;
        self.check_sizes()?;
        Ok(self)
    }

    /// The probability that the network predicts for a class on its object, and elsewhere. On a map without
    /// ground truth it predicts `outside` everywhere.
    ///
    /// # Errors
    /// A value outside of \[0, 1\].
    pub fn with_prediction(mut self, inside: f64, outside: f64) -> Result<Self, DiceError> {
        for (argument, value) in [("prediction inside", inside), ("prediction outside", outside)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(DiceError::Domain { argument, value, accepted: "it must lie in [0, 1]" });
            }
        }
        (self.inside, self.outside) = (inside, outside);
        Ok(self)
    }

    fn check_sizes(&self) -> Result<(), DiceError> {
        if let Some(&value) = self.object_sizes.iter().find(|size| !(**size > 0.0 && size.is_finite())) {
            return Err(DiceError::Domain { argument: "object size", value, accepted: "it must be above 0" });
        }
        let value: f64 = self.object_sizes.iter().sum();
        if value >= self.shape.voxels() as f64 {
            let accepted = "all objects together must leave room for background in the voxels";
            return Err(DiceError::Domain { argument: "sum of the object sizes", value, accepted });
        }
        Ok(())
    }

    /// B, C and I.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The class that has no ground truth in the last image.
    pub fn class(&self) -> usize {
        self.shape.classes().min(2) - 1
    }

    /// The image in which the class has no ground truth: the last.
    pub fn image_without(&self) -> usize {
        self.shape.batch() - 1
    }

    /// The size of the object in question, in voxels.
    pub fn object_size(&self) -> f64 {
        self.object_sizes[0]
    }

    /// The probability that is predicted for a class on its object, and elsewhere.
    pub(super) fn prediction(&self) -> (f64, f64) {
        (self.inside, self.outside)
    }

    /// The ε that push an empty map under image-wise Dice as hard as batch-wise Dice does with B → ∞, by Eq. 5 with
    /// the overlap and the union of this scenario's prediction.
    ///
    /// # Errors
    /// As [`solve_epsilon`], for example where nothing is predicted on the object.
    pub fn solve_epsilon(&self) -> Result<EpsilonSolutions, DiceError> {
        let size = self.object_size();
        let predicted = self.inside * size + self.outside * (self.shape.voxels() as f64 - size);
        solve_epsilon(size, self.inside, 1.0 + predicted / size)
    }

    /// Presence that declares the map without ground truth missing.
    pub(super) fn declared_missing(&self) -> Result<Presence, DiceError> {
        let (batch, classes) = (self.shape.batch(), self.shape.classes());
        let without = self.image_without() * classes + self.class();
        Presence::new(batch, classes, (0..batch * classes).map(|map| map != without).collect())
    }

    /// Σ_i y of each map; `emptied` leaves the last image without the class.
    pub(super) fn target_sizes(&self, emptied: bool) -> Vec<f64> {
        let (classes, voxels) = (self.shape.classes(), self.shape.voxels() as f64);
        let mut sizes = Vec::with_capacity(self.shape.batch() * classes);
        for b in 0..self.shape.batch() {
            let mut objects = self.object_sizes.clone();
            if emptied && b == self.image_without() {
                objects[0] = 0.0;
            }
            if classes > 1 {
                // What no object covers is background, also where an object is not annotated.
                sizes.push(voxels - objects.iter().sum::<f64>());
            }
            sizes.extend(objects);
        }
        sizes
    }

    /// The sums that a voxel pass over this batch would find.
    pub(super) fn sums(&self, emptied: bool) -> Result<DiceSums, DiceError> {
        let (batch, classes, voxels) = (self.shape.batch(), self.shape.classes(), self.shape.voxels() as f64);
        let target = self.target_sizes(emptied);
        let overlap = target.iter().map(|size| self.inside * size).collect();
        let predicted = |inside: f64, outside: f64| {
            target.iter().map(|size| inside * size + outside * (voxels - size)).collect::<Vec<f64>>()
        };
        let prediction = predicted(self.inside, self.outside);
        let prediction_square = predicted(self.inside * self.inside, self.outside * self.outside);
        // The objects of other classes lie outside of the background.
        let on_background = (0..batch * classes)
            .map(|map| {
                target[map - map % classes] * if map % classes == 0 { self.inside } else { self.outside }
            })
            .collect();
        // Labels are hard here: y² = y.
        let target_square = target.clone();
        DiceSums::from_parts(batch, classes, overlap, target, prediction)?
            .with_background_overlap(on_background)?
            .with_squares(target_square, prediction_square)
    }
}
