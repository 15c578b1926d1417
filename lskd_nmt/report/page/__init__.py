"""One static page of what run folders hold: tables, figures, sentences, commands. It reads files and never measures."""
