use std::io;

use dicewise_train::{Normalisation, Sample, SampleSource, TrainError, Trainer, TrainingConfig};

use crate::setup::{Record, SHAPE, ball, balls, config, network, tracking};

/// Two cases, which cannot be read from the third epoch on.
struct Lost;

impl SampleSource for Lost {
    fn cases(&self) -> usize {
        2
    }
    fn shape(&self) -> [usize; 3] {
        SHAPE
    }
    fn draw(&self, case: usize, epoch: u64) -> io::Result<Sample> {
        match epoch {
            0 | 1 => Ok(ball(SHAPE, 2.5, case, epoch)),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "case_1.bin is gone")),
        }
    }
}

#[test]
fn a_case_that_cannot_be_read_stops_the_training_where_it_is_needed() {
    for loaders in [0, 1, 4] {
        let config = TrainingConfig { loaders, ..config(6) };
        let mut trainer = Trainer::new(config, network(Normalisation::Instance, 1), tracking());
        let mut record = Record::default();
        let error = record.run(&mut trainer, &Lost, &balls(2)).expect_err("no case is left");
        assert_eq!(record.steps.len(), 2, "{loaders} loaders");
        assert!(matches!(&error, TrainError::Sample(_)), "{error:?}");
        assert!(format!("{error:?}").contains("case_1.bin is gone"), "{error:?}");
    }
}
