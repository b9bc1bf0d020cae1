//! Predictions of cases on their own grids, and their scores.
use std::collections::BTreeSet;

use burn::tensor::Device;
use dicewise_data::preprocess::{Prepared, PreprocessError, Restoring};
use dicewise_data::{Grid, Image, LabelMap, Volume};
use dicewise_eval::{VoxelCounts, probability_sum, volume_difference_ml, volume_ml};
use dicewise_experiment as experiment;
use dicewise_experiment::{CellConfig, OutputActivation, Restore};
use dicewise_report::CaseScore;
use dicewise_train::{Channels, UNet, predict};

use crate::cases::prediction_input;
use crate::network::output_activation;
use crate::prepared_case::{Centres, PreparedCase};
use crate::run_error::RunError;

/// What a network says about a case, on the grid the case came on.
pub(crate) struct Prediction {
    /// Probability of each label.
    pub(crate) probabilities: Vec<Image>,
    /// Voxels decided to be of each label.
    pub(crate) decided: Vec<Volume<bool>>,
}

/// Predicts a prepared case.
pub(crate) fn predict_case(
    config: &CellConfig,
    network: &UNet,
    device: &Device,
    case: Prepared,
    centres: Centres,
) -> Result<Prediction, PreprocessError> {
    let input = prediction_input(config, case, centres)?;
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
    let restoring = match config.preprocessing.restore {
        Restore::Linear => Restoring::Linear,
        Restore::Nearest => Restoring::Nearest,
        Restore::Replicate => Restoring::Replicate,
    };
    let mut probabilities = input.restore_probabilities(&working, softmax.then_some(0), restoring)?;
    let decided = decide(&probabilities, &input.original, softmax);
    if softmax {
        probabilities.remove(0);
    }
    Ok(Prediction { probabilities, decided })
}

/// Softmax: the most probable channel, the first of equals. Sigmoid: every label above one half.
fn decide(probabilities: &[Image], grid: &Grid, softmax: bool) -> Vec<Volume<bool>> {
    if !softmax {
        return probabilities.iter().map(|map| map.map(|&p| p > 0.5)).collect();
    }
    let most_probable = |voxel: usize| {
        let at = probabilities.iter().map(|map| map.data[voxel]).enumerate();
        at.reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0, |(channel, _)| channel)
    };
    let channels: Vec<usize> = (0..grid.len()).map(most_probable).collect();
    (1..probabilities.len())
        .map(|label| Volume::new(grid.clone(), channels.iter().map(|&c| c == label).collect()))
        .collect()
}

/// One row of `cases.csv` a label.
///
/// DSC is that of decided classes. The predicted volume is that of decided classes with softmax, and Σp with
/// sigmoid: what the paper did on ACDC and on BRATS.
pub(crate) fn score_case(
    config: &CellConfig,
    case: &PreparedCase,
    truth_map: &LabelMap,
    prediction: &Prediction,
) -> Result<Vec<CaseScore>, RunError> {
    let voxel_ml = truth_map.grid.voxel_volume_ml();
    let cell = &config.cell;
    let mut scores = Vec::new();
    for (index, label) in config.target.labels.iter().enumerate() {
        let truth: Vec<bool> = truth_map.data.iter().map(|value| label.values.contains(value)).collect();
        let decided = &prediction.decided[index].data;
        let predicted_sum = match config.target.activation {
            OutputActivation::Softmax => decided.iter().filter(|&&d| d).count() as f64,
            OutputActivation::Sigmoid => probability_sum(&prediction.probabilities[index].data)?,
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
            dsc: VoxelCounts::of_masks(decided, &truth)?.dsc().defined(),
            volume_difference_ml: volume_difference_ml(predicted_sum, target_sum, voxel_ml)?,
            predicted_volume_ml: volume_ml(predicted_sum, voxel_ml)?,
            target_volume_ml: volume_ml(target_sum, voxel_ml)?,
        });
    }
    Ok(scores)
}

/// Predictions as files: name without extension, and label map.
///
/// One map with the values of the data (of a label merged from several values, the first); labels that overlap do
/// not fit into one map, and get one each.
pub(crate) fn label_maps(
    target: &experiment::Target,
    case: &str,
    prediction: &Prediction,
) -> Vec<(String, LabelMap)> {
    let values = || target.labels.iter().map(|label| label.values[0]);
    if !overlap(target) {
        let mut map = prediction.decided[0].map(|_| 0u16);
        for (value, decided) in values().zip(&prediction.decided) {
            map.data.iter_mut().zip(&decided.data).filter(|(_, d)| **d).for_each(|(v, _)| *v = value);
        }
        return vec![(case.to_owned(), map)];
    }
    let maps = target.labels.iter().zip(&prediction.decided);
    maps.map(|(label, decided)| (format!("{case}_{}", label.name), decided.map(|&d| u16::from(d)))).collect()
}

pub(crate) fn overlap(target: &experiment::Target) -> bool {
    let mut seen = BTreeSet::new();
    !target.labels.iter().flat_map(|label| &label.values).all(|value| seen.insert(value))
}
