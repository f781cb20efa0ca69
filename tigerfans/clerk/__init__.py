"""The clerk: a process that does what can wait, so that no worker has to."""
