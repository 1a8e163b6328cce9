"""Engines: who generates the tokens. One file an engine, behind the protocols in `base`."""
