"""For who stands at the door: the page that scans, and what it asks."""
