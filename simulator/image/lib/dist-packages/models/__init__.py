"""Model files: the safetensors format, the layout of SDXL, and the files that the internet has."""
