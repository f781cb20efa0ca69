"""`tigerfans doctor`: looks at a deployment without touching it, and says what to change.

    findings        what a check says: good, a warning or bad, and what to do about it
    configuration   secrets and addresses
    machine         versions, limits, clock and disks of this machine
    postgresql      the database of the orders
    replication     its hosts, where it has several
    redis           the payment sessions
    ledger          the sequencer's socket, and the ledger behind it
    provider        whether the payment provider takes the shop's key
    identity        whether database, secret, ledger and Redis belong to one shop
    sockets         whose a socket is, and who else gets at it
    shop            whether the shop is open
    command         runs all of them and shows what they found

Every check reads facts first and judges them in a function without I/O. What only a deployment
needs is a warning in development and bad in production (`Findings.required`).
"""
