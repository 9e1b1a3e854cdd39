"""The room of sd-scripts: what it is told, what it prints, and whether it succeeded."""
