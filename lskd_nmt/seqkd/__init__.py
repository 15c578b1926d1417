"""Sequence-level distillation: a teacher's translations of the training source, decoded, proved, chosen and stored."""
