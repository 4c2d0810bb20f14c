"""In the container: the OpenAI-compatible HTTP server."""
