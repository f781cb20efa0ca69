"""A worker: the process, its socket and server, and what every request passes through."""
