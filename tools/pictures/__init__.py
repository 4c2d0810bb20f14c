"""Pictures of what `ccapi ask` looks like, for the README and docs/ask.md: `make pictures`.

Each is a real run in a real terminal: `ccapi gateway` with a scripted model, Claude Code and its tools, `ccapi ask` in
tmux, and what tmux has on its screen then. So that each run gives the same picture, this is replaced by fixed values:

- durations, and the numbers of tokens (Claude Code's own prompt is another one on each machine);
- the session's id;
- the path of the temporary directory that stands for the container's `/workspace`, which is left out as that one is.
"""
