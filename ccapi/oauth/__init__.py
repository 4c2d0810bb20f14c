"""The OAuth proxy of the host: what brings the browser's answer to a login into the container."""
