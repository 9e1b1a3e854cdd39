"""The trainer behind every script: it reads, refuses, waits and writes as sd-scripts does."""
