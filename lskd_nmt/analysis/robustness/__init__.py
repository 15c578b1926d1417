"""Robustness of a run's models: defects of their translations, and what small changes of the source do to them."""
