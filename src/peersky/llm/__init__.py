"""The language-model side: the bridge that pages call, its queue, the providers and the built-in engine."""
