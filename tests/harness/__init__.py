"""What holds for every test, whatever it tests; `tests/conftest.py` puts these plugins to work.

time_limit   a test that hangs fails, and the next one runs
"""
