"""The local stack: `tigerfans up`, for a shop on one machine with nothing to install or configure.

up              the outline: take the data folder, plan, run, give it back
folder          the data folder: what lies where, the lock on it, short paths for sockets
room            whether there is room on its disk
ports           whether the addresses the shop listens on are free
plan            from settings to the programs to run
ledger_choice   which ledger this shop sells on, and that it stays there
programs        what can be started, as data; launch.py stands in front of each
postgres, redis, tigerbeetle   the servers: how each is found, prepared, started and asked
supervisor      all of it: start in order, watch, reload, stop in order
service         keeps one program running: restarts, and replacement without a gap
process         one running process, from its start to its end; readiness, log
opening         the moment the shop opens: /readyz, and the banner
state           what `tigerfans ps` reads; ends what a killed stack left behind
control         `tigerfans ps` and `tigerfans reload`
download        fetches the TigerBeetle server
"""
