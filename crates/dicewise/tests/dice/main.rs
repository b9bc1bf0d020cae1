//! What the Dice loss claims, by theme.

// Equality with literal loops over Eq. 3 and 4, for every combination of options.
mod oracle;
// Random batches for the above and below.
mod cases;
// What the paper proves about Φ, and what has to hold under relabelling, permutation and duplication.
mod invariants;
// Leaf, marginal, declared and inferred, empty and missing.
mod missing_labels;
// Batch-wise Dice over several ranks.
mod ranks;
// Accuracy in f32, large volumes, thread counts, ε = 0.
mod numerics;
// Jaccard, Tversky, squared and generalized Dice, focal exponents.
mod family;
mod far_logits;
// From logits, with cross-entropy: every option, input type and instruction set.
mod segmentation;
// Accuracy on whole volumes, up to 10⁸ voxels.
mod large;
// Eq. 5.
mod heuristic;
// The table of peers' defaults.
mod explain;
// Bad input.
mod errors;
// Names that are written and read back.
mod names;
