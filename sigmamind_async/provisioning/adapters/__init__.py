"""What each platform means by its requests and shows in its records: one module a platform."""
