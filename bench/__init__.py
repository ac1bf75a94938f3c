"""How fast PeerSky is beside what it stands on: ``make bench``, ``make bench-quick``. Not part of the product."""
