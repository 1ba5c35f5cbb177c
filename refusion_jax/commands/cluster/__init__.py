"""Commands on many machines, by Ray."""
