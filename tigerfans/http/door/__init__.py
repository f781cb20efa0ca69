"""For who stands at the door: the page that scans."""
