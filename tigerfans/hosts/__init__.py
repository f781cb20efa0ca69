"""The hosts of one shop: what each says of itself, and what is wrong with them together."""
