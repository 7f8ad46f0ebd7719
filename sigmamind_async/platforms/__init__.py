"""One folder a vendor: its models, its operations, its client."""
