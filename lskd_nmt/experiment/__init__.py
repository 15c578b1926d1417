"""From a YAML file to the commands of a run, and what a run folder remembers."""
