//! From a setting of the experiment file to the loss.
use dicewise::{ClassWeights, DiceError, DiceLoss, MissingLabels};

use crate::{
    EpsilonLayout, Missing, MissingRule, OutputActivation, Partition, Setting, Smoothing, Target, Weighting,
};

impl Setting {
    /// The loss of this setting. `mean_sizes` is E Σy of every output channel: the mean number of voxels over the
    /// training images as the network sees them, labels emptied where the labelling says so.
    ///
    /// # Errors
    /// A mean size for another number of channels, or one that is not usable as ε.
    pub fn dice_loss(&self, target: &Target, mean_sizes: &[f64]) -> Result<DiceLoss, DiceError> {
        self.dice_loss_with_epsilon_up_to(f64::INFINITY, target, mean_sizes)
    }

    /// The loss during ε warm-up: no ε is larger than `epsilon_tiny`.
    ///
    /// # Errors
    /// As [`Setting::dice_loss`].
    pub fn warm_up_loss(
        &self,
        epsilon_tiny: f64,
        target: &Target,
        mean_sizes: &[f64],
    ) -> Result<DiceLoss, DiceError> {
        self.dice_loss_with_epsilon_up_to(epsilon_tiny, target, mean_sizes)
    }

    fn dice_loss_with_epsilon_up_to(
        &self,
        largest: f64,
        target: &Target,
        mean_sizes: &[f64],
    ) -> Result<DiceLoss, DiceError> {
        let channels = target.channels();
        if mean_sizes.len() != channels {
            return Err(DiceError::EpsilonLength { expected: channels, found: mean_sizes.len() });
        }
        let per_class = |smoothing: &Smoothing| -> Vec<f64> {
            let values = match smoothing {
                Smoothing::Uniform(value) => vec![*value; channels],
                Smoothing::PerClass(values) => values.clone(),
                Smoothing::FromData => mean_sizes.to_vec(),
                Smoothing::TimesFromData(times) => mean_sizes.iter().map(|size| size * times).collect(),
            };
            values.into_iter().map(|value| value.min(largest)).collect()
        };
        let epsilon = match (&self.epsilon.numerator, &self.epsilon.denominator) {
            (Smoothing::Uniform(numerator), Smoothing::Uniform(denominator)) => {
                dicewise::Epsilon::new(numerator.min(largest), denominator.min(largest))?
            }
            (numerator, denominator) => {
                let (numerator, denominator) = (per_class(numerator), per_class(denominator));
                match self.epsilon_layout {
                    EpsilonLayout::Paper => dicewise::Epsilon::per_class_split(&numerator, &denominator)?,
                    EpsilonLayout::Released => dicewise::Epsilon::averaged(&numerator, &denominator)?,
                }
            }
        };
        let mut loss =
            DiceLoss::new(self.partition.into(), epsilon)?.with_missing_labels(self.missing_labels())?;
        let without_background = !self.background && target.activation == OutputActivation::Softmax;
        let weights = match (&self.weights, self.weighting) {
            (Some(weights), Weighting::Normalised) => Some(ClassWeights::normalised(weights.clone())?),
            (Some(weights), Weighting::Unnormalised) => Some(ClassWeights::unnormalised(weights.clone())?),
            (None, _) if without_background => Some(ClassWeights::without_background(channels)?),
            (None, _) => None,
        };
        if let Some(weights) = weights {
            loss = loss.with_class_weights(weights)?;
        }
        Ok(loss)
    }

    /// What the loss does with missing labels.
    pub fn missing_labels(&self) -> MissingLabels {
        let rule = match self.rule {
            MissingRule::Declared => dicewise::MissingRule::Declared,
            MissingRule::Inferred => dicewise::MissingRule::Inferred,
        };
        match self.missing {
            Missing::AsEmpty => MissingLabels::AsEmpty,
            Missing::Leaf => MissingLabels::Leaf(rule),
            Missing::Marginal => MissingLabels::Marginal(rule),
        }
    }
}

impl From<Partition> for dicewise::Partition {
    fn from(partition: Partition) -> Self {
        match partition {
            Partition::ImageWise => Self::ImageWise,
            Partition::ClassWise => Self::ClassWise,
            Partition::BatchWise => Self::BatchWise,
            Partition::AllWise => Self::AllWise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epsilon, TargetLabel};

    fn target() -> Target {
        let label = |name: &str, value| TargetLabel { name: name.to_owned(), values: vec![value] };
        Target {
            activation: OutputActivation::Softmax,
            labels: vec![label("a", 1), label("b", 2)],
            soft: false,
        }
    }

    fn built_in(name: &str) -> Setting {
        Setting::built_in(name, 1e-7, &Smoothing::FromData, false).expect("built in")
    }

    const SIZES: [f64; 3] = [900.0, 60.0, 40.0];

    #[test]
    fn the_heuristic_is_the_mean_size_of_each_class_and_the_warm_up_is_tiny() {
        let loss = built_in("I_eps").dice_loss(&target(), &SIZES).expect("loss");
        assert_eq!((0..3).map(|c| loss.epsilon().numerator(c)).collect::<Vec<_>>(), SIZES);
        assert_eq!((0..3).map(|c| loss.epsilon().denominator(c)).collect::<Vec<_>>(), SIZES);
        let warm_up = built_in("I_eps").warm_up_loss(1e-7, &target(), &SIZES).expect("loss");
        assert_eq!((warm_up.epsilon().numerator(1), warm_up.epsilon().denominator(2)), (1e-7, 1e-7));
        assert_eq!(
            built_in("BI").warm_up_loss(1e-7, &target(), &SIZES),
            built_in("BI").dice_loss(&target(), &SIZES)
        );
    }

    #[test]
    fn every_built_in_setting_is_a_loss_and_only_marginal_counts_the_background() {
        for name in Setting::BUILT_IN {
            let loss = built_in(name).dice_loss(&target(), &SIZES).expect(name);
            let weights = loss.class_weights().map(|weights| weights.as_slice().to_vec());
            assert_eq!(weights, (name != "marginal").then(|| vec![0.0, 1.0, 1.0]), "{name}");
        }
        let leaf = built_in("leaf").dice_loss(&target(), &SIZES).expect("leaf");
        assert_eq!(leaf.missing_labels(), MissingLabels::Leaf(dicewise::MissingRule::Inferred));
        assert_eq!((leaf.epsilon().numerator(0), leaf.epsilon().denominator(0)), (0.0, 1e-7));
    }

    #[test]
    fn unnormalised_weights_are_the_papers_acdc_runs() {
        let weights = Some(vec![0.0, 1.0, 1.0]);
        let setting = Setting { weights, weighting: Weighting::Unnormalised, ..built_in("BI") };
        let loss = setting.dice_loss(&target(), &SIZES).expect("loss");
        assert!(loss.class_weights().is_some_and(|weights| !weights.is_normalised()));
    }

    #[test]
    fn mean_sizes_are_those_of_the_channels() {
        let error = built_in("I_eps").dice_loss(&target(), &[1.0]).expect_err("three channels");
        assert!(matches!(error, DiceError::EpsilonLength { expected: 3, found: 1 }));
        let split = Epsilon { numerator: Smoothing::Uniform(0.0), denominator: Smoothing::FromData };
        let loss = Setting { epsilon: split, ..built_in("I") }.dice_loss(&target(), &SIZES).expect("loss");
        assert_eq!((loss.epsilon().numerator(2), loss.epsilon().denominator(2)), (0.0, 40.0));
    }
}
