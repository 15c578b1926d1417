"""Distillation toolkit for neural machine translation, on fairseq."""

__version__ = "0.1.0"
