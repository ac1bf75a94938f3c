"""QR codes as SVG images, for links that another device is to open."""

from __future__ import annotations

import io
from typing import Final

from peersky.core.errors import NotSupported

_QUIET_MODULES: Final = 4
"""White border, in modules: ISO/IEC 18004 asks for four."""


def qr_svg(text: str) -> bytes:
    """A QR code, black on white whatever the page around it looks like: many readers know no other.

    Raises:
        NotSupported: the text is longer than a code can hold (some 2,300 bytes).
    """
    import segno  # Here, since it is rarely needed, and the window starts sooner without it.

    try:
        code = segno.make_qr(text, error="m", boost_error=False)
    except segno.DataOverflowError:
        raise NotSupported("This link is too long for a QR code; copy it instead.", reason="too_long") from None
    image = io.BytesIO()
    code.save(image, kind="svg", border=_QUIET_MODULES, dark="#000", light="#fff", omitsize=True)
    return image.getvalue()
