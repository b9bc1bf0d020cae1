//! The two voxel passes of the Dice loss as CubeCL kernels: one source for Vulkan, Metal, DirectX 12 and CUDA.
//!
//! [`VoxelPasses`] launches them on buffers that are on the device already. Everything between the passes, Φ and ε
//! included, is the scalar mathematics of [`dicewise`]: [`VoxelPasses::sums`] gives what [`dicewise::DiceLoss::terms`]
//! takes, and [`VoxelPasses::gradient`] takes what that gives.
//!
//! Both passes read every voxel of input and target once, with softmax or sigmoid inside, so neither probabilities nor
//! anything else of the input's size is stored in between. There are no atomic operations: a cube adds up its chunk of
//! voxels in a fixed order, in `f32` and 64 voxels a unit, and the host adds up the chunks in `f64`. So the same input on the same
//! device gives the same bits every time.
//!
//! Without the feature `wgpu` or `cuda` the kernels compile, but no device can run them.
mod kernels;
mod passes;

pub use passes::{Parts, VoxelPasses};
