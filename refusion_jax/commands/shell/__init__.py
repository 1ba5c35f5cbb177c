"""What the shell gives and gets: pipes as sources, and a script of completions."""
