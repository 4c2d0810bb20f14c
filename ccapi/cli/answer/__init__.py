"""How an answer looks: on a terminal, in a pipe, to a program."""
