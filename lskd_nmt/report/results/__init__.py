"""What the scored models of a run come to: rows, effects, baselines and published values."""
