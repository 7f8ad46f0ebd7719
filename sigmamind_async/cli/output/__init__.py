"""What commands show: events, and how they look as text, on a terminal and as JSON."""
