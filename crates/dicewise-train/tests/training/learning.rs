use burn::tensor::Device;
use dicewise_train::{
    Channels, Normalisation, OutputActivation, SampleSource, Schedule, Trainer, TrainingConfig, UNetConfig,
    predict,
};

use crate::setup::{Record, Source, ball, config, tracking};

const SHAPE: [usize; 3] = [16, 16, 12];

/// A bright ball in noise is the easiest structure there is: a small network finds it in unseen cases.
fn learns_the_ball(normalisation: Normalisation) {
    let training = Source { cases: 8, shape: SHAPE, draw: |case, epoch| ball(SHAPE, 3.5, case, epoch) };
    let config = TrainingConfig { learning_rate: 2e-2, schedule: Schedule::Cosine, ..config(60) };
    let unet = UNetConfig { normalisation, ..UNetConfig::small(1, 1, 4, 2) };
    let mut trainer = Trainer::new(config, unet.init(3, &tracking()), tracking());
    let mut record = Record::default();
    record.run(&mut trainer, &training, &training).unwrap();
    let losses = record.losses();
    assert!(losses[59] < 0.5 * losses[0], "from {} to {}", losses[0], losses[59]);

    let network = trainer.network();
    for case in 100..104 {
        let unseen = training.draw(case, 0).unwrap();
        let volume = Channels { data: &unseen.image, channels: 1, shape: SHAPE };
        let p = predict(&network, &Device::flex(), OutputActivation::Sigmoid, volume, SHAPE);
        let both = p.iter().zip(&unseen.target).filter(|&(&p, &y)| p > 0.5 && y > 0.5).count();
        let predicted = p.iter().filter(|&&p| p > 0.5).count();
        let truth = unseen.target.iter().filter(|&&y| y > 0.5).count();
        let dsc = 2.0 * both as f64 / (predicted + truth) as f64;
        assert!(dsc > 0.9, "{normalisation:?}, case {case}: DSC {dsc}");
    }
}

#[test]
fn a_small_network_learns_a_ball_in_noise_with_instance_normalisation() {
    learns_the_ball(Normalisation::Instance);
}

/// 60 steps move Keras' running averages (momentum 0.99) only 45 % of the way, so the network is judged by its soft
/// Dice while training, which counts a blurred border against it.
#[test]
fn a_small_network_learns_a_ball_in_noise_with_batch_normalisation() {
    let training = Source { cases: 8, shape: SHAPE, draw: |case, epoch| ball(SHAPE, 3.5, case, epoch) };
    let config = TrainingConfig { learning_rate: 2e-2, schedule: Schedule::Cosine, ..config(60) };
    let unet = UNetConfig { normalisation: Normalisation::Batch, ..UNetConfig::small(1, 1, 4, 2) };
    let mut trainer = Trainer::new(config, unet.init(3, &tracking()), tracking());
    let mut record = Record::default();
    record.run(&mut trainer, &training, &training).unwrap();
    let losses = record.losses();
    assert!(losses[0] > 0.8, "{losses:?}");
    assert!(losses[55..].iter().all(|&loss| loss < 0.3), "{losses:?}");
}
