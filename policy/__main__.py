"""Serves the policies to Pulumi's engine until that ends: `python -m policy`."""

from pulumi_policy import EnforcementLevel, PolicyPack

from policy.pack import policies

PolicyPack("fragua", policies(), EnforcementLevel.MANDATORY)
