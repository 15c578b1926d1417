"""Which sentence pairs are not worth learning: one file for each rule, and `screen` which applies them."""
