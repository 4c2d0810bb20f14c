"""The HTTP client of the gateway."""
