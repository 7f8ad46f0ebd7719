"""What a response says and proves: its verdict, its error, its headers, and what is cut from it."""
