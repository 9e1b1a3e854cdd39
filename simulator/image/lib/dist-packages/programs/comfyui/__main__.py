"""Run outside a checkout: `python -m programs.comfyui --base-directory FOLDER --port N`."""

from programs.comfyui.main import main

main()
