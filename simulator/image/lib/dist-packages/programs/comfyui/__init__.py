"""ComfyUI 0.3.64 as its HTTP and websocket clients see it. No model is computed: pictures are drawn.

`options` the flags; `folders` the model files; `table` the node classes; `validation` what is refused;
`waiting` queue and history; `execution` the worker; `nodes` what each class does; `drawing` the pictures;
`speed` time and memory; `sockets` the events; `images` files in and out; `routes` the API; `main` the start.
"""
