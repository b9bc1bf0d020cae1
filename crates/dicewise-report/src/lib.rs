//! Tables and figures of an experiment
