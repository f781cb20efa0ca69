"""TigerFans: a ticket shop on TigerBeetle that gets faster, not slower, with more workers."""

__version__ = "0.1.0"
