"""Prompts: template files, and what keeps a text from becoming an instruction."""
