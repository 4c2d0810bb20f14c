"""What is wrong, and how to mend it: one small function for each thing that can be looked at."""
