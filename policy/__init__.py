"""The policy pack: what a team allows to be rented, held by Pulumi itself at every preview and up.

It judges what a program declares, so it stands alone: it knows neither the house nor its job files.
"""
