"""One small class per kind of back end, all behind :class:`peersky.llm.providers.base.Provider`."""
