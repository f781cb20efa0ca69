"""The local stack: `tigerfans up`, for a shop on one machine with nothing to install or configure.

up            the outline: from settings to a running shop, and its end
folder        the data folder: what lies where, the lock on it, short paths for sockets
programs      what can be started, as data; launch.py stands in front of each
postgres, redis, tigerbeetle    the servers: how each is found, prepared, started, asked
ledger_choice which ledger this shop uses, and that it stays with it
process       one running process, from its start to its end
readiness     when a process serves
service       keeps one program running: restarts, and replacement without a gap
supervisor    all of them, in order: start, watch, reload, stop
state         what `tigerfans ps` reads; ends what a killed stack left behind
download      fetches the TigerBeetle server
"""
