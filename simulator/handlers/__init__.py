"""What each call does, in terms of the world. No HTTP here, and no rules in the routes."""
