"""Rented machines: each a real SSH server with its own file tree, processes and network."""
