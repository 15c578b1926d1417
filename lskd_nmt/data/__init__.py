"""Parallel text before it is binarised: reading, cleaning, subwords, corpora."""
