"""What models are sure of, and why: features of a model's tokens on disk, and pure functions of them."""
