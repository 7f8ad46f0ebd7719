"""What other programs load from here; each module needs the program that it is for."""
