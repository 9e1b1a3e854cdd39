"""A simulator of Vast.ai on loopback: REST API, market, ledger, and machines with real SSH.

It imports nothing from `components`: a bug shared by both sides would hide itself.
"""
