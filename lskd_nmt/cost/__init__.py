"""What a run will cost, measured on trial runs before it begins."""
