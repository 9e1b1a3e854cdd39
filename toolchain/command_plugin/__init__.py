"""A stand-in for `pulumi-resource-command` 1.2.1, for machines that cannot download the plugin.

It serves the same resources over the same gRPC protocol and follows the same rules, so that one
program and one state file work with either. Rules are those of the plugin's documentation and
observed behaviour; where the official plugin would hang, this one fails and says why.
"""
