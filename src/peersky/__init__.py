"""PeerSky: a local-first peer-to-peer browser with a user-controlled bridge to language models."""

__version__ = "0.1.0"
