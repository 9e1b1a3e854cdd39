"""What has to stand before `cli` can run: the virtual environment, the Pulumi engine, its plugins.

`bootstrap` runs on any Python >= 3.11 before a single dependency is installed, so everything in
this package but `command_plugin` uses the standard library only. It knows nothing of Vast.ai,
stacks or jobs.
"""
