"""A ticket's life on the ledger, without I/O: ids, what is sent, and what the answers mean."""
