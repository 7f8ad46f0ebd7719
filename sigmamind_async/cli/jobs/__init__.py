"""Work over many rows: supervised, counted and reported."""
