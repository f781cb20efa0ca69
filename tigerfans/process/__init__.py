"""What a serving process asks of the system and of Python, and how it says that it is ready."""
