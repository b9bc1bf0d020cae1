//! Experiment files: what to train on which data, checked, as a grid of cells
