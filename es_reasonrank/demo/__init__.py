"""The demonstration: questions about Python's standard library, ranked before the user's eyes."""
