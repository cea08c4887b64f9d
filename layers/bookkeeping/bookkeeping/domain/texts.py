"""Texts that are kept: a row takes 400 KB, so each of them has a bound."""

from __future__ import annotations

import hashlib


def check_value(text: str) -> str:
    """Eight letters that tell a text from others, where there is no room for the text. Of no text there are none."""
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


def within(text: str, at_most: int) -> str:
    """The text as UTF-8 of at most so many bytes. What is no text in UTF-8, half a character, becomes a `?`."""
    raw = text.encode(errors="replace")
    return raw.decode() if len(raw) <= at_most else raw[: at_most - 3].decode(errors="ignore") + "…"
