"""Tables and plots, from JSON files alone."""
