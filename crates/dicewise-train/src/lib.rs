//! The 3-D U-Net, its training, its checkpoints and its predictions
