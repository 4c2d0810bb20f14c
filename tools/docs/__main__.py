"""`python -m tools.docs`: write what is made from the program into docs/. With `--check` only say what would change."""

from __future__ import annotations

import sys

from tools.docs.parts import PARTS, ROOT, written


def main(args: list[str]) -> int:
    """Exit 1 with `--check` if a page is not as it should be."""
    if args not in ([], ["--check"]):
        sys.stderr.write("usage: python -m tools.docs [--check]\n")
        return 2
    changed = False
    for part in PARTS:
        file = ROOT / part.page
        before = file.read_text("utf-8")
        after = written(part, before)
        if after != before:
            changed = True
            sys.stdout.write(f"{part.page}: {part.name}\n")
            if not args:
                file.write_text(after, "utf-8")
    return int(changed and bool(args))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
