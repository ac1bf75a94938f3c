"""The page that stands where an internal page could not be shown."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template


def render_error_page(
    assets: Path, *, title: str, sentence: str, advice: str, address: str, link: tuple[str, str]
) -> str:
    """Fill in ``assets/pages/error/error.html``. All texts are plain texts and are escaped here.

    Args:
        assets: the folder of the assets.
        title: what happened, in a few words.
        sentence: what happened, in one sentence.
        advice: what the user can do about it, one sentence, or empty.
        address: the address that failed, shown as text.
        link: internal address and label of the one button.
    """
    return Template((assets / "pages" / "error" / "error.html").read_text("utf-8")).substitute(
        title=escape(title),
        sentence=escape(sentence),
        advice=f"<p>{escape(advice)}</p>" if advice else "",
        address=escape(address),
        link=escape(link[0]),
        label=escape(link[1]),
    )
