//! The Dice loss with every partition Φ and smoothing term ε: value and derivative
