"""The room of a machine over SSH: commands, files, pinned host keys. Knows nothing of Vast.ai."""
