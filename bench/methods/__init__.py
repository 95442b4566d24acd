"""Methods as plain PyTorch, for any training loop: nothing but torch is imported."""

from bench.methods.profit import PROFIT

__all__ = ["PROFIT"]
