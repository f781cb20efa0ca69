"""Who gets in: what a ticket shows at the door, and what is decided about it."""
