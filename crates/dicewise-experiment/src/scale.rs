//! The same experiment, smaller.
use crate::{
    Architecture, Data, Duration, Epsilon, Experiment, PredictionExtent, Schedule, Smoothing, WarmUp,
};

impl Experiment {
    /// The same grid of cells on coarser images with a narrower network and a shorter training, for factors below 1.
    ///
    /// - voxels along each axis times the factor, rounded to what the network's levels divide, the field of view kept by
    ///   larger spacing; displacements in voxels and shifts with them;
    /// - ε of 1 voxel and more with the number of voxels;
    /// - features of the network, at least 1 each;
    /// - iterations or epochs, warm-up, patiences and `evaluate_every`, each at least 1.
    ///
    /// Cases, folds, batch sizes, settings and seeds stay.
    pub fn scaled(mut self, factor: f64) -> Self {
        let divisor = self.network.architecture.divisor();
        let shrunk = |shape: [usize; 3]| -> [usize; 3] {
            std::array::from_fn(|axis| {
                let steps = (shape[axis] as f64 * factor / divisor[axis] as f64).round();
                divisor[axis] * (steps as usize).max(1)
            })
        };
        let whole = |n: usize| ((n as f64 * factor).ceil() as usize).max(1);
        let phantom = match &mut self.data {
            Data::TumourPhantom { shape, .. } | Data::HeartPhantom { shape, .. } => Some(shape),
            Data::Folder { .. } => None,
        };
        let image = self.preprocessing.size;
        let seen = self.patch.as_ref().map(|patch| patch.size).or(image).or(phantom.as_deref().copied());
        let by: [f64; 3] = match seen {
            Some(seen) => std::array::from_fn(|axis| shrunk(seen)[axis] as f64 / seen[axis] as f64),
            None => [factor; 3],
        };
        let along = |shape: [usize; 3]| -> [usize; 3] {
            std::array::from_fn(|axis| ((shape[axis] as f64 * by[axis]).round() as usize).max(1))
        };
        if let Some(shape) = phantom {
            // Its generator draws nothing smaller.
            *shape = shrunk(*shape).map(|n| n.max(8));
        }
        let predicts_whole = self.patch.as_ref().is_none_or(|p| p.prediction == PredictionExtent::Whole);
        self.preprocessing.size = image.map(|size| if predicts_whole { shrunk(size) } else { along(size) });
        if let Some(spacing) = &mut self.preprocessing.spacing_mm {
            (0..3).for_each(|axis| spacing[axis] /= by[axis]);
        }
        if let Some(patch) = &mut self.patch {
            patch.size = shrunk(patch.size);
        }
        let augmentation = &mut self.augmentation;
        if let Some(sigma) = &mut augmentation.translate_sigma_voxels {
            (0..3).for_each(|axis| sigma[axis] *= by[axis]);
        }
        augmentation.elastic_voxels = augmentation.elastic_voxels.map(|voxels| voxels * factor);
        augmentation.shift_voxels = augmentation.shift_voxels.map(|n| (n as f64 * factor).round() as usize);
        match &mut self.network.architecture {
            Architecture::Custom { base, .. } => *base = ((*base as f64 * factor).round() as usize).max(1),
            Architecture::Brats | Architecture::Acdc => self.network.width *= factor,
        }
        let training = &mut self.training;
        training.duration = match training.duration {
            Duration::Iterations(n) => Duration::Iterations(whole(n)),
            Duration::Epochs(n) => Duration::Epochs(whole(n)),
        };
        let settings = self.blocks.iter_mut().flat_map(|block| &mut block.settings);
        let warm_ups = settings.map(|setting| &mut setting.epsilon_warm_up);
        for warm_up in warm_ups.chain([&mut training.epsilon_warm_up]) {
            if let Some(WarmUp::Iterations(n)) = warm_up {
                *n = (*n as f64 * factor) as usize;
            }
        }
        training.evaluate_every = training.evaluate_every.map(whole);
        if let Schedule::Plateau { patience, stop_patience, .. } = &mut training.schedule {
            (*patience, *stop_patience) = (whole(*patience), whole(*stop_patience));
        }
        let volume: f64 = by.iter().product();
        let shrink = |epsilon: &mut f64| *epsilon *= if *epsilon >= 1.0 { volume } else { 1.0 };
        for setting in self.blocks.iter_mut().flat_map(|block| &mut block.settings) {
            let Epsilon { numerator, denominator } = &mut setting.epsilon;
            for smoothing in [numerator, denominator] {
                match smoothing {
                    Smoothing::Uniform(epsilon) => shrink(epsilon),
                    Smoothing::PerClass(epsilon) => epsilon.iter_mut().for_each(shrink),
                    Smoothing::FromData | Smoothing::TimesFromData(_) => {}
                }
            }
        }
        self
    }
}
