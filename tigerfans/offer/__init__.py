"""What is for sale: the show, its ticket classes and goodies, their windows, the file they are read
from, and where each is on the ledger.
"""
