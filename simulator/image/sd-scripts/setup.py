"""The package of the checkout."""

from setuptools import find_packages, setup

setup(name="library", packages=find_packages())
