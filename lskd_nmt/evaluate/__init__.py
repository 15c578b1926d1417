"""BLEU and chrF of translations, their intervals, and the contrasts between systems."""
