"""What a deployment says of itself: its settings, and what lies where in its data folder."""
