"""The parts of docs/ that are made from the program: each lies between two comments in a page, and is never edited."""
