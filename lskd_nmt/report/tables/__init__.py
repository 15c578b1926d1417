"""Tables of results as Markdown, CSV and LaTeX."""
