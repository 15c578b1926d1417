"""The features folder: states and statistics of a model on a split, in numpy, for all analyses."""
