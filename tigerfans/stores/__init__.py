"""PostgreSQL and Redis: orders and payment sessions, in batches, each call under a deadline."""
