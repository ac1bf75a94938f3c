"""Stands in for Ollama's ``llama-server``, which is C++ and therefore not in its Go module: PeerSky's engine instead.

It is the same server of llama.cpp, in another version, so that prompts, numbers and errors take Ollama's real way. Run
by Ollama as a script, with llama-server's arguments; those that only matter for speed are passed over.
"""

from __future__ import annotations

import argparse
import os
import sys
import time


def main() -> None:
    """Serve one model until the Ollama that asked for it is gone."""
    if "--list-devices" in sys.argv:
        print("Available devices:")
        return
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("-c", type=int, default=4096)
    parser.add_argument("-np", type=int, default=1)
    parser.add_argument("-b", type=int, default=512)
    parser.add_argument("-ub", type=int, default=512)
    parser.add_argument("--embedding", action="store_true")
    parser.add_argument("--context-shift", action="store_true")
    parser.add_argument("--no-jinja", action="store_true")
    parser.add_argument("--chat-template", default="")
    options, _ = parser.parse_known_args()

    import xllamacpp

    parent = os.getppid()
    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.ui = False
    params.verbosity = 3
    params.n_parallel = options.np
    params.kv_unified = False
    params.n_ctx = options.c
    params.n_batch = options.b
    params.n_ubatch = min(options.b, options.ub)
    params.cache_ram_mib = 256
    params.embedding = options.embedding
    params.ctx_shift = options.context_shift
    params.use_jinja = not options.no_jinja
    if options.chat_template:
        params.chat_template = options.chat_template
    server = xllamacpp.Server(params)
    while server is not None and os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    main()
