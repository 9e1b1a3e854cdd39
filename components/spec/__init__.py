"""What a user may write: job files as frozen models. Knows nothing of prices, machines or Pulumi."""
