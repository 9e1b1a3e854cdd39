"""The people's layer: commands, live views, the demo.

It drives Pulumi through the Automation API and reads machines through the rooms' edges. It holds no
infrastructure logic: everything it does to infrastructure, plain `pulumi` does too.
"""
