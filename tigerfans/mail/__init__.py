"""Mails to buyers: what they say, and how they leave."""
