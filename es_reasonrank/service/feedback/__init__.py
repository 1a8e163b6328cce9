"""What users did with results: clicks, conversions and ratings, kept as judgments and joined to the roll-out log."""
