"""What the library costs, measured against doing the same by hand: ``python -m benchmarks``."""
