"""A stand-in for torch: its version and what it sees of the GPUs. It computes nothing."""

from __future__ import annotations

from torch import cuda, version

__all__ = ["__version__", "cuda", "version"]
__version__ = version.__version__
