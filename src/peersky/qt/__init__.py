"""The only code that imports PyQt6: the window, and the adapter that serves ASGI apps at URL schemes."""
