"""Whether the service lives, whether it can serve, what it is, and its numbers."""
