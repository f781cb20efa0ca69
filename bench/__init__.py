"""How fast the shop is, and at what cost: load generators and the run that measures with them."""
