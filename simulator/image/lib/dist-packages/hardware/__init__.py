"""The rented machine as its own programs see it: its facts, its time, its GPUs, its link."""
