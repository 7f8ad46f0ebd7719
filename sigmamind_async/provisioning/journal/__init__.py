"""Where operations are remembered: the contract of a journal, and its three implementations."""
