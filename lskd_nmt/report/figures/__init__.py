"""Figures of results and analyses; each function returns a matplotlib figure."""
