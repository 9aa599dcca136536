"""Text of the other end, made safe once, where it is decoded, for terminals, logs and markup. Knows no messages."""

from __future__ import annotations

import re

__all__ = ["MAX_TEXT", "clean_text"]

MAX_TEXT = 4096
"""Characters of one text: a name, or a line for people, not a document."""

_MARKUP = re.compile(r"\[(?=[a-z#/@])")  # where rich's markup begins a tag; "[1, 4]" is none


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` as one line that commands nothing: no control or format character, no markup, no more than fits.

    White space becomes a space, what cannot be printed (escape sequences, bidirectional controls, invisible marks)
    becomes ``?``, and a space keeps a bracket from opening a tag. Law: ``clean_text(clean_text(t)) == clean_text(t)``.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
    if "[" in text:
        text = _MARKUP.sub("[ ", text)
    return text[:limit]
