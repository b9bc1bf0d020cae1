"""The Dice loss with every partition Φ and smoothing term ε.

Fronts: :mod:`dicewise.torch` (the loss for training), :mod:`dicewise.numpy` (values, gradients and metrics without
PyTorch), :mod:`dicewise.monai` (MONAI's names), :mod:`dicewise.nnunet` (a trainer for nnU-Net v2). Here is what needs
no array: what a loss teaches on maps without ground truth, and the heuristic ε.

After Tilborghs et al., The Dice loss in the context of missing or empty labels: introducing Φ and ε, MICCAI 2022,
arXiv 2207.09521. Equation numbers are that paper's.
"""

from dicewise._core import __version__, heuristic_epsilon, presets, solve_epsilon
from dicewise._explain import Explanation, explain

__all__ = ["Explanation", "__version__", "explain", "heuristic_epsilon", "presets", "solve_epsilon"]
