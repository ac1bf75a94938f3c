"""What PeerSky's start and memory are compared with: QWebEngineViews with a small page, and nothing else."""

from __future__ import annotations

import signal
import sys

from PyQt6.QtCore import QTimer
from PyQt6.QtWebEngineWidgets import QWebEngineView
from PyQt6.QtWidgets import QApplication, QTabWidget

_PAGE = "<!doctype html><title>Hello</title><style>body { font: 1rem sans-serif }</style><h1>Hello</h1><p>A page."


def main(count: int) -> int:
    application = QApplication(sys.argv[:1])
    tabs = QTabWidget()
    for number in range(count):
        view = QWebEngineView()
        tabs.addTab(view, str(number))
        tabs.setCurrentIndex(number)
        view.setHtml(_PAGE)
    tabs.resize(1280, 800)
    tabs.show()
    signal.signal(signal.SIGTERM, lambda *_: application.quit())
    # Python looks at signals only when it runs.
    alive = QTimer()
    alive.timeout.connect(lambda: None)
    alive.start(500)
    return application.exec()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
