"""Measurements, as ratios against a baseline in the same run: `./fragua bench NAME`."""
