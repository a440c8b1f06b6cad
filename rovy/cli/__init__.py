"""rovyctl: talks to the daemon over its API. Loads nothing heavy: it has to start at once."""
