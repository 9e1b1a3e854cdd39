"""The commands of the image: each module is one program, and `main` takes its arguments and returns its exit code."""
