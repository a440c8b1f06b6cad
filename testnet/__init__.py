"""Networks of real nodes on one machine, for tests, demonstrations and the public testnet."""
