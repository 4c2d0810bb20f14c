"""How a question comes in: standard input, and a prompt of several lines."""
