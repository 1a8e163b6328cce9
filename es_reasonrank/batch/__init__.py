"""Jobs over many queries: resumable, every query exactly once."""
