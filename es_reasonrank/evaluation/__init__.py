"""Runs, qrels and measures."""
