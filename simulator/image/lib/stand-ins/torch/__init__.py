"""A stand-in for torch: its version, what it sees of the GPUs, and tensors of ones."""

from __future__ import annotations

from torch import cuda, version
from torch.ones import ones

__all__ = ["__version__", "cuda", "ones", "version"]
__version__ = version.__version__
