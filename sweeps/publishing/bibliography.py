"""Bibliography: the papers that parts name in their docstrings, by arXiv number, as BibTeX."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grokcore.version import VERSION

ARXIV = re.compile(r"arXiv[\s:]+(\d{4}\.\d{4,5})")
"""How a docstring names a paper; a line may end in between."""

SOFTWARE = "grokmap"
"""Key of Grokmap itself, whose words are those of CITATION.cff."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One entry of a bibliography."""

    key: str
    """What a text cites it by."""
    bibtex: str
    """The whole entry."""
    short: str
    """Authors and year as a sentence has them: Power et al. 2022."""


def software() -> Reference:
    """Return the entry of Grokmap itself, in the version that runs."""
    bibtex = (
        f"@misc{{{SOFTWARE},\n  author = {{{{The Grokmap developers}}}},\n"
        "  title = {Grokmap: regime maps of memorisation, grokking and comprehension},\n"
        f"  howpublished = {{Software, version {VERSION}}},\n  version = {{{VERSION}}}\n}}"
    )
    return Reference(key=SOFTWARE, bibtex=bibtex, short="The Grokmap developers")


def papers_named(text: str) -> list[str]:
    """Return the arXiv numbers in a text, in order, each once."""
    return list(dict.fromkeys(ARXIV.findall(text)))


@functools.lru_cache(maxsize=1)
def known() -> Mapping[str, Reference]:
    """Return every paper of ``references.bib`` by its arXiv number."""
    text = Path(__file__).with_name("references.bib").read_text(encoding="utf-8")
    entries = [entry.strip() for entry in re.findall(r"^@.*?^\}", text, re.DOTALL | re.MULTILINE)]
    return {_field(entry, "eprint"): _reference(entry) for entry in entries}


def chosen(numbers: Iterable[str]) -> list[Reference]:
    """Return the entries of papers by arXiv number, each once; one that is not known is given by its number alone."""
    return [known().get(number) or _bare(number) for number in dict.fromkeys(numbers)]


def _bare(number: str) -> Reference:
    key = f"arxiv{number.replace('.', '')}"
    bibtex = f"@misc{{{key},\n  title = {{arXiv:{number}}},\n  eprint = {{{number}}},\n  archivePrefix = {{arXiv}}\n}}"
    return Reference(key=key, bibtex=bibtex, short=f"arXiv {number}")


def _field(entry: str, name: str) -> str:
    found = re.search(rf"^  {name} = \{{(.*)\}},?$", entry, re.MULTILINE)
    if found is None:
        raise ValueError(f"an entry of references.bib has no {name}: {entry[:60]!r}")
    return found[1]


def _reference(entry: str) -> Reference:
    surnames = [author.partition(",")[0] for author in _field(entry, "author").split(" and ")]
    several = len(surnames) > 2
    names = f"{surnames[0]} et al." if several else " and ".join(surnames)
    return Reference(key=entry[entry.index("{") + 1 : entry.index(",")], bibtex=entry,
                     short=f"{names} {_field(entry, 'year')}")  # fmt: skip
