"""The fenced blocks of the documentation, so that tests can run them."""

import re
from dataclasses import dataclass
from pathlib import Path

from neural_lander.sim import compare

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Block:
    """One fenced block: what stands behind its fence, and its text."""

    language: str
    name: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of a page of ``docs/`` in order."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert text.count("```") == 2 * len(found), "a fence without a language is run by nobody"
    return [Block(*each) for each in found]


def links_of(page: str) -> list[str]:
    """Return the files that a page links to, relative to ``docs/``."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]


def draw_pictures(monkeypatch, times):
    """Let ``compare`` draw the pictures of its first ``times`` tables alone; each takes seconds."""
    real, left = compare.draw_paper, [times]

    def draw(*given):
        left[0] -= 1
        return real(*given) if left[0] >= 0 else []

    monkeypatch.setattr(compare, "draw_paper", draw)
