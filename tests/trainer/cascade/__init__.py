"""The cascade of two scorers."""
