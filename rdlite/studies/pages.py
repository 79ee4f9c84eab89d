"""A page from a template, in Markdown and in HTML, in which no name becomes markup."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jinja2
import pandas as pd

from rdlite.guards import files

PARTS = ("h1", "h2", "h3", "p", "table", "image")
HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>\
body {{ font: 15px/1.5 sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em }}\
 table {{ border-collapse: collapse }} td, th {{ padding: 2px 10px; text-align: left;\
 border-bottom: 1px solid #ddd }} img {{ max-width: 100% }}\
</style></head>
<body>
{body}
</body></html>
"""


def write(out: Path, template: Path, title: str, **page: object) -> list[Path]:
    """Write report.md and report.html into a folder; returns their paths.

    Args:
        out: the folder.
        template: of jinja2; filters write its parts (`PARTS`), an image is a file and its words.
        title: of the page.
        page: what else the template shows.
    """
    source = template.read_text(encoding="utf-8")
    parts = [_parts(source, page | {"title": title}, how) for how in (markdown, _html)]
    texts = {
        "report.md": "\n\n".join(parts[0]) + "\n",
        "report.html": HTML.format(title=html.escape(title), body="\n".join(parts[1])),
    }
    for name, text in texts.items():
        with files.whole(out / name) as file:
            file.write_text(text, encoding="utf-8")
    return [out / name for name in texts]


def _parts(source: str, page: dict, write: Callable[[str, object], str]) -> list[str]:
    """The parts of the template, each written by ``write``."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.filters |= {kind: partial(write, kind) for kind in PARTS}
    return re.split(r"\n{2,}", environment.from_string(source).render(page).strip())


def markdown(kind: str, content: str | pd.DataFrame | tuple[str, str]) -> str:
    """One part as Markdown."""
    if kind == "table":
        rows = [content.columns, ["---"] * content.shape[1], *content.to_numpy()]
        cells = [[_escaped(cell).replace("|", r"\|") for cell in row] for row in rows]
        return "\n".join("| " + " | ".join(row) + " |" for row in cells)
    if kind == "image":
        file, words = content
        return f"![{_escaped(words)}]({file})"
    return {"h1": "# ", "h2": "## ", "h3": "### ", "p": ""}[kind] + _escaped(content)


def _escaped(text: object) -> str:
    """One line of Markdown that shows ``text`` as it is: no tag, no link, no emphasis."""
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"[\\`*_]|\](?=\()", r"\\\g<0>", line)


def _html(kind: str, content: str | pd.DataFrame | tuple[str, str]) -> str:
    if kind == "table":
        return content.to_html(index=False, escape=True, border=0)
    if kind == "image":
        return '<img src="{}" alt="{}">'.format(*map(html.escape, content))
    return f"<{kind}>{html.escape(' '.join(str(content).split()))}</{kind}>"
