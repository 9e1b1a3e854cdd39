"""What is known of ComfyUI: a client, and the graphs that it runs. Stands alone: it is copied to machines.

errors      every error raised on purpose
client      `ComfyClient`: runs a graph on a server and fetches its pictures
feed        the websocket under it, which tells what happens
events      what that says, parsed
transport   the HTTP calls under it, and which of them may be repeated
history     how a prompt ended
fill        a person's workflow with another prompt, size and seed
nodes       the nodes ComfyUI has, and whether a graph fits them
graph       a graph, and how one is built
parameters  what a request may say, with bounds
workflows   the workflows that are offered, by name
custom      a person's own workflow as one more of them
"""
