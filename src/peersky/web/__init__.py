"""The ASGI apps that URL schemes serve, and their middleware. No Qt here."""
