"""What stays of a run: its record as JSON and as a page, and whether its checkpoints are what they say."""
