"""What is for sale: the show, its ticket classes and goodies, and where each is on the ledger."""
