"""`python -m tools.pictures`: make the pictures in docs/pictures/ anew."""

from __future__ import annotations

import sys

from tools.pictures.pictures import PICTURES, file, made


def main() -> None:
    for picture in PICTURES:
        file(picture).write_text(made(picture), "utf-8")
        sys.stdout.write(f"{file(picture).name}\n")


if __name__ == "__main__":
    main()
