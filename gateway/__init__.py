"""An HTTP API and a web page in front of one ComfyUI. Runs beside it as `python -m gateway`.

settings                      from the environment
app, parts, routes            the API
requests, shapes, errors      what comes in, what goes out, and what goes wrong
auth, limits                  who may ask, how often and how slowly
jobs, store                   what was accepted, kept on disk
worker                        brings the jobs to ComfyUI, in order
health                        whether ComfyUI can make an image
images                        their files, formats and retention
metrics, enhance, certificate
"""
