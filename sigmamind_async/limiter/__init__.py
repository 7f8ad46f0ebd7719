"""The rate at which requests may leave, learned from the platform's answers."""
