"""The one process that owns the ledger: it merges what all workers ask into one batch at a time.

listener     the socket file: one sequencer for each, and for this user only
connection   one worker's connection: frames in, replies out in one write
lane         one operation: gather, submit as one buffer, route the results back
routing      which part of a reply is whose; pure
sequencer    the lanes and the connections together
counters     what is counted, as plain numbers
metrics, web the counters as Prometheus text and as JSON, over HTTP
main         the process: startup, serve, drain, shutdown
"""
