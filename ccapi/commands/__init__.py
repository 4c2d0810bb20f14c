"""Use cases: plain values in, values out; nothing is printed here."""
