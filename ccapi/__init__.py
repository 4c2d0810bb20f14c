"""ccapi: Claude Code in a container behind an OpenAI-compatible API."""

__version__ = "0.1.0"
