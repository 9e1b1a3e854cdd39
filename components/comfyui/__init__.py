"""ComfyUI and the gateway in front of it, on a rented machine."""
