"""Which build this is; written anew at each installation."""

__version__ = "4.12.0.88"
