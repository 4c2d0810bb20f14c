"""Typed messages that the host and the container share."""
