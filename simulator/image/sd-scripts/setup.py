"""The checkout as a package: there for `-e .`, which installs a name and no more."""
