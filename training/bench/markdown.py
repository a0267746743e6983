"""Tables in Markdown, line by line."""

from __future__ import annotations


def print_head(*titles: str) -> None:
    """The first two lines of a table."""
    print_row(*titles)
    print("|" + " --- |" * len(titles))


def print_row(*texts: str) -> None:
    """One line of a table."""
    print("| " + " | ".join(texts) + " |", flush=True)
