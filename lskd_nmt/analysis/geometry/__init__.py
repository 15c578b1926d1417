"""The projection of the penultimate layer and the diffusion index, from features."""
