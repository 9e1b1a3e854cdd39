"""What sd-scripts refuses, ignores or does wrong, as tables of rules over the whole of a training."""
