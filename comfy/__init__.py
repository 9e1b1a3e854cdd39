"""What is known of ComfyUI: a client, and the graphs that it runs. Stands alone: it is copied to machines.

errors      every error raised on purpose
client      `ComfyClient`: run a graph on a server and fetch its pictures
transport   the HTTP calls under it, and what may be repeated
following   one prompt from the queue to its end, over the websocket or by asking
events      what the websocket says, parsed
nodes       the nodes ComfyUI has, and whether a graph fits them
graph       a graph, and how one is built
parameters  what a person may ask for, with bounds
workflows   the graphs that are offered, by name
custom      a person's own workflow as one more of them
"""
