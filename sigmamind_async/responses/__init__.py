"""What a response proves: its verdict, its error, its headers, and how secrets are removed."""
