"""Confidence and calibration of a model, from its features."""
