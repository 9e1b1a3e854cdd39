"""The replay of jobs in the simulator's markets, in virtual time: no HTTP, no machines, no waiting."""
