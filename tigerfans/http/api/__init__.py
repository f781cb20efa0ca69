"""What buyers, their scripts and payment providers call, in every rush: JSON, no framework."""
