//! Predictions of cases on their own grids, and their scores.
use burn::tensor::Device;
use dicewise_data::{Grid, Image, LabelMap, Volume};
use dicewise_eval::{VoxelCounts, probability_sum, volume_difference_ml, volume_ml};
use dicewise_experiment::{CellConfig, OutputActivation};
use dicewise_report::CaseScore;
use dicewise_train::{Channels, UNet, predict};
use dicewise_data::preprocess::Prepared;

use crate::cases::{PreparedCase, prediction_input};
use crate::network::output_activation;
use crate::run_error::RunError;

/// What a network says about a case, on the grid the case came on.
pub(crate) struct Prediction {
    /// Probability of each output channel.
    pub(crate) probabilities: Vec<Image>,
    /// The class of each voxel: the place of a label in the target, from 1; 0 is background.
    pub(crate) classes: LabelMap,
}

/// Predicts a prepared case.
pub(crate) fn predict_case(
    config: &CellConfig,
    network: &UNet,
    device: &Device,
    case: &Prepared,
) -> Result<Prediction, RunError> {
    let input = prediction_input(config, case)?;
    let shape = input.working_grid().shape;
    // The whole input at once, padded up to a size that the network can halve.
    let divisor = config.network.architecture.divisor();
    let window = std::array::from_fn(|axis| shape[axis].next_multiple_of(divisor[axis]));
    let data: Vec<f32> = input.channels.iter().flat_map(|channel| channel.data.iter().copied()).collect();
    let volume = Channels { data: &data, channels: input.channels.len(), shape };
    let output = output_activation(config.target.activation);
    let probabilities = predict(network, device, output, volume, window);
    let working: Vec<Image> = probabilities
        .chunks(shape.iter().product())
        .map(|map| Volume::new(input.working_grid().clone(), map.to_vec()))
        .collect();
    let softmax = config.target.activation == OutputActivation::Softmax;
    let probabilities = input
        .restore_probabilities(&working, softmax.then_some(0))
        .map_err(|source| RunError::Preprocess { case: String::new(), source })?;
    let classes = decide(&probabilities, &input.original, softmax);
    Ok(Prediction { probabilities, classes })
}

/// Softmax: the most probable class, the first of equals. Sigmoid: the last label above one half.
fn decide(probabilities: &[Image], grid: &Grid, softmax: bool) -> LabelMap {
    let class = |voxel: usize| -> u16 {
        let mut at = probabilities.iter().map(|map| map.data[voxel]).enumerate();
        let decided = if softmax {
            at.reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0, |(class, _)| class)
        } else {
            at.rfind(|(_, p)| *p > 0.5).map_or(0, |(label, _)| label + 1)
        };
        decided as u16
    };
    Volume::new(grid.clone(), (0..grid.len()).map(class).collect())
}

/// One row of `cases.csv` a label.
///
/// DSC is that of decided classes. The predicted volume is that of decided classes with softmax, and Σp with
/// sigmoid: what the paper did on ACDC and on BRATS.
pub(crate) fn score_case(
    config: &CellConfig,
    case: &PreparedCase,
    prediction: &Prediction,
) -> Result<Vec<CaseScore>, RunError> {
    let voxel_ml = case.truth.grid.voxel_volume_ml();
    let cell = &config.cell;
    let mut scores = Vec::new();
    for (index, label) in config.target.labels.iter().enumerate() {
        let class = index as u16 + 1;
        let truth: Vec<bool> = case.truth.data.iter().map(|&c| c == class).collect();
        let (decided, predicted_sum): (Vec<bool>, f64) = match config.target.activation {
            OutputActivation::Softmax => {
                let decided: Vec<bool> = prediction.classes.data.iter().map(|&c| c == class).collect();
                let count = decided.iter().filter(|&&d| d).count();
                (decided, count as f64)
            }
            OutputActivation::Sigmoid => {
                let map = &prediction.probabilities[index].data;
                (map.iter().map(|&p| p > 0.5).collect(), probability_sum(map)?)
            }
        };
        let target_sum = truth.iter().filter(|&&y| y).count() as f64;
        scores.push(CaseScore {
            labelling: cell.labelling.to_string(),
            setting: cell.setting.name.clone(),
            batch_size: cell.batch_size,
            seed: cell.seed,
            fold: cell.fold,
            case: case.id.clone(),
            subject: case.subject.clone(),
            group: case.group.clone(),
            label: label.name.clone(),
            dsc: VoxelCounts::of_masks(&decided, &truth)?.dsc().defined(),
            volume_difference_ml: volume_difference_ml(predicted_sum, target_sum, voxel_ml)?,
            predicted_volume_ml: volume_ml(predicted_sum, voxel_ml)?,
            target_volume_ml: volume_ml(target_sum, voxel_ml)?,
        });
    }
    Ok(scores)
}

/// A label map with the values of the data: of a label merged from several values, the first.
pub(crate) fn data_values(config: &CellConfig, classes: &LabelMap) -> LabelMap {
    classes.map(|&class| match class {
        0 => 0,
        class => config.target.labels[usize::from(class) - 1].values[0],
    })
}
