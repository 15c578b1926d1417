"""Architectures; fairseq imports every file here by itself."""
