"""The socket between a worker and the sequencer: `frames` is the codec, `client` the worker's end.

It is all that the worker and the sequencer share.
"""
