"""The room of Vast.ai: the only place that speaks of offers, contracts and bids."""
