"""What tests and benchmarks share: servers, simulated platforms, and purchases that are disturbed.

Nothing here imports either of them.
"""
