//! 3-D network operations for Burn: convolution, normalisation with activation, pooling, upsampling
