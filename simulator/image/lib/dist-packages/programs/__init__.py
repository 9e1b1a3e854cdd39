"""The commands of the image: `main` of a module takes its arguments and returns its exit code."""
