"""What holds for every test, whatever it tests; `tests/conftest.py` puts these plugins to work.

bytecode     the processes that tests start share what they have compiled
leaks        each test closes what it opens
needs        what some tests need and a machine may lack, with the command that brings it
parallel     how `pytest -n 2` divides the tests over processes
patience     how long a test waits for what comes by itself
ports        ports that nobody else listens on
skips        says in the end what this machine lacked, a line a reason
time_limit   a test that hangs fails, and the next one runs
"""
