"""Changes to fairseq while the plugin is loaded; each file says what it mends and why."""
