"""What a check finds, and how it stands on the screen; knows no check and shows no key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

LLM_KEY, ARGILLA_KEY = "NESTLING_LLM_API_KEY", "ARGILLA_API_KEY"
WIDTH = 100


@dataclass(frozen=True)
class Finding:
    """One line of the screen: `ok`, `no` (params.yaml asks for it), `--` (it does not); and the way out of a lack."""

    state: Literal["ok", "no", "--"]
    found: str
    way_out: str = ""


def lack(found: str, way_out: str = "", *, wanted: bool = True) -> Finding:
    """Return the finding that something is missing, which matters where it is wanted."""
    return Finding("no" if wanted else "--", found, way_out)


def screen(findings: Mapping[str, Finding]) -> list[str]:
    """Return the lines: a way out stands behind what was found where it fits, and below where it does not."""
    lines = []
    for name, finding in findings.items():
        line = f"{finding.state}  {name:<8} {' '.join(finding.found.split())}"
        way_out = f" -> {finding.way_out}" if finding.way_out else ""
        fits = not way_out or len(line + way_out) <= WIDTH
        lines += [line + way_out] if fits else [line, " " * 12 + way_out]
    return [_presentable(line) for line in lines]


def _presentable(line: str) -> str:
    """Return a line that fits, moves no cursor and holds no key, whatever stood in what a server said."""
    for key in (LLM_KEY, ARGILLA_KEY):
        if len(os.environ.get(key, "")) >= 8:
            line = line.replace(os.environ[key], "***")
    line = "".join(sign if sign.isprintable() else "?" for sign in line)
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def gib(size: float) -> str:
    """Return a number of bytes as people say it."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"
