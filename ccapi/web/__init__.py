"""What every aiohttp server of ccapi has in common: a protocol that gives nothing away, headers, the form of errors."""
