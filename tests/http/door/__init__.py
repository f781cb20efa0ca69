"""The door over the real application."""
