"""The losses, against numbers worked out by hand."""
