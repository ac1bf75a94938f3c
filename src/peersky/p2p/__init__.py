"""The peer-to-peer node, what was published with it, and who may publish."""
