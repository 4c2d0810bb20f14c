"""The Docker side of the host: compose, engine, templates, lifecycle."""
