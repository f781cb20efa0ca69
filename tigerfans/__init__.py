"""TigerFans: a ticket shop that sells a hall in seconds and never sells a seat twice."""

__version__ = "0.5.0"
