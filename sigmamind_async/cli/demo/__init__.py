"""``sigmamind demo``: a fleet applied against a sandbox that misbehaves."""
