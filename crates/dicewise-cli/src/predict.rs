//! `dicewise predict`: label maps that lie exactly over their images.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use dicewise_data::Image;
use dicewise_data::dataset::{Dataset, Layout};
use dicewise_data::nifti;
use dicewise_experiment::{CellConfig, OutputActivation};
use dicewise_train::checkpoint;

use crate::args;
use crate::cases::preprocessing;
use crate::cell::{
    CHECKPOINT_BEST, CHECKPOINT_FINAL, CHECKPOINT_LATEST, CHECKPOINT_PREVIOUS, CONFIG, CellObserver,
};
use crate::devices;
use crate::network;
use crate::prepared_case::Centres;
use crate::progress::Display;
use crate::run::INTERRUPTED;
use crate::run_error::RunError;
use crate::score::{label_maps, predict_case};
use crate::stdout;

pub(crate) fn run(args: &args::Predict, stop: &AtomicBool) -> Result<ExitCode, RunError> {
    let device = devices::device(args.device.device)?;
    let config = model_config(&args.model)?;
    let weights = weights(args)?;
    let images = images(&args.input)?;
    fs::create_dir_all(&args.out).map_err(RunError::io(&args.out))?;

    let preprocessing = preprocessing(&config.preprocessing, &config.target);
    let mut unet = None;
    let display = Display::new("cases", images.iter().map(|(case, _)| (case.clone(), 1.0)));
    for (place, (case, files)) in images.into_iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            display.close();
            stdout::note(&format!("interrupted; what is predicted is in {}", args.out.display()));
            return Ok(ExitCode::from(INTERRUPTED));
        }
        display.begin(place).started(0, 1);
        let mut channels: Vec<Image> = Vec::new();
        for file in &files {
            channels.extend(nifti::read_channels(file)?);
        }
        // The grid of a case is its first channel's, as it was in training.
        let grid = channels[0].grid.clone();
        channels.iter_mut().filter(|c| c.grid.shape == grid.shape).for_each(|c| c.grid = grid.clone());
        if unet.is_none() {
            let fresh = network::network(&config, channels.len(), &device);
            let (trained, _, _) = checkpoint::load(&weights, fresh, 0.0, None)?;
            unet = Some((trained.valid(), channels.len()));
        }
        let (network, expected) = unet.as_ref().expect("loaded above");
        if channels.len() != *expected {
            return Err(RunError::Usage(format!(
                "case {case} has {} channels where the first has {expected}; give images of one kind",
                channels.len()
            )));
        }
        let failed = |source| RunError::Preprocess { case: case.clone(), source };
        let prepared = preprocessing.prepare(&channels, None).map_err(failed)?;
        let failed = |source| RunError::Preprocess { case: case.clone(), source };
        let image = prepared.image_centre().map_err(&failed)?;
        let centres = Centres { image, truth: None };
        let prediction = predict_case(&config, network, &device, prepared, centres).map_err(failed)?;
        for (name, map) in label_maps(&config.target, &case, &prediction) {
            nifti::write(args.out.join(format!("{name}.nii.gz")), &map)?;
        }
        if args.probabilities {
            // In a folder of their own: what lies in the first one is label maps, which `evaluate` reads.
            let folder = args.out.join("probabilities");
            fs::create_dir_all(&folder).map_err(RunError::io(&folder))?;
            for (label, map) in config.target.labels.iter().zip(&prediction.probabilities) {
                nifti::write(folder.join(format!("{case}_{}.nii.gz", label.name)), map)?;
            }
        }
        display.done(place, "predicted");
    }
    display.close();
    let what = match config.target.activation {
        OutputActivation::Softmax => "label maps",
        OutputActivation::Sigmoid => "label maps (probability above one half)",
    };
    stdout::write(&format!("{what} written to {}\n", args.out.display())).map_err(RunError::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

fn model_config(model: &Path) -> Result<CellConfig, RunError> {
    let file = model.join(CONFIG);
    match fs::read_to_string(&file) {
        Ok(text) => Ok(CellConfig::from_toml(&file, &text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(RunError::NoModel { folder: model.to_owned(), wanted: CONFIG.to_owned() })
        }
        Err(error) => Err(RunError::io(file)(error)),
    }
}

fn weights(args: &args::Predict) -> Result<PathBuf, RunError> {
    let name = match args.checkpoint {
        args::Checkpoint::Latest => CHECKPOINT_LATEST,
        args::Checkpoint::Best => CHECKPOINT_BEST,
        args::Checkpoint::Final => CHECKPOINT_FINAL,
    };
    // A finished training's last checkpoint is its final one; one killed while saving may have the previous one only.
    let candidates = match args.checkpoint {
        args::Checkpoint::Latest => vec![CHECKPOINT_LATEST, CHECKPOINT_FINAL, CHECKPOINT_PREVIOUS],
        _ => vec![name],
    };
    let found = candidates.into_iter().map(|name| args.model.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| RunError::NoModel { folder: args.model.clone(), wanted: name.to_owned() })
}

/// Name and image files of every case of the input: a file, a dataset, or a folder of images.
fn images(input: &Path) -> Result<Vec<(String, Vec<PathBuf>)>, RunError> {
    if input.is_file() {
        let case = case_name(input).unwrap_or_else(|| "prediction".to_owned());
        return Ok(vec![(case, vec![input.to_owned()])]);
    }
    if let Ok(layout) = Layout::detect(input) {
        let dataset = Dataset::open_as(input, layout)?;
        return Ok(dataset.cases.into_iter().map(|case| (case.id, case.images)).collect());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(input).map_err(RunError::io(input))? {
        files.push(entry.map_err(RunError::io(input))?.path());
    }
    files.sort();
    let mut cases: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files {
        if let Some(name) = case_name(&file) {
            cases.entry(without_channel(&name).to_owned()).or_default().push(file);
        }
    }
    if cases.is_empty() {
        return Err(RunError::Usage(format!(
            "{}: no images (.nii, .nii.gz) and no dataset; give an image, a folder of images, or a dataset",
            input.display()
        )));
    }
    Ok(cases.into_iter().collect())
}

/// The file's name without `.nii` or `.nii.gz`; none for other files and hidden ones.
fn case_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let name = name.strip_suffix(".nii.gz").or_else(|| name.strip_suffix(".nii"))?;
    (!name.starts_with('.')).then(|| name.to_owned())
}

/// nnU-Net's channel number: `case_0001` is channel 1 of `case`.
fn without_channel(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((case, number)) if number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()) => case,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_case_are_recognised_by_nnunets_suffix() {
        assert_eq!(without_channel("brain_003_0001"), "brain_003");
        assert_eq!(without_channel("brain_003"), "brain_003");
        assert_eq!(case_name("x/brain.nii.gz".as_ref()).as_deref(), Some("brain"));
        assert_eq!(case_name("x/.brain.nii".as_ref()), None);
        assert_eq!(case_name("x/brain.txt".as_ref()), None);
    }
}
