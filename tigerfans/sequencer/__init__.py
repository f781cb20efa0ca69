"""The one process that owns the ledger: it merges what all workers ask into one batch at a time.

listener     the socket file: one sequencer for each, and for this user only
connection   one worker's connection: frames in, replies out in one write
lane         one operation: gather, submit as one buffer, route the results back
routing      which part of a reply is whose; pure
sequencer    the lanes and the connections together
counters     what is counted, as plain numbers
history      the last minutes of them, for the admin page
backups      copies of the embedded ledger, when somebody asks
metrics, web the counters as Prometheus text and as JSON, over HTTP
main         the process: startup, serve, drain, shutdown
"""
