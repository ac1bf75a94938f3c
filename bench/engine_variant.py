"""An engine with settings of the benchmark's choice: takes the first line of ``engine_child.py``, with ``set`` in it:
attributes of ``CommonParams`` and their values; a name of an enum's member stands for it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def put(params: Any, path: str, value: Any) -> None:
    """Set ``a.b`` of an object."""
    *way, last = path.split(".")
    for name in way:
        params = getattr(params, name)
    if isinstance(value, str):
        import xllamacpp

        enum, _, member = value.partition(".")
        value = getattr(getattr(xllamacpp, enum), member)
    setattr(params, last, value)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    config = json.loads(sys.stdin.buffer.readline())
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["key"]]
    params.ui = False
    params.verbosity = 1
    params.n_parallel = config["n_parallel"]
    params.kv_unified = False
    params.n_ctx = config["n_ctx"]
    params.n_batch = params.n_ubatch = config["n_batch"]
    params.cpuparams.n_threads = config["answer_threads"]
    params.cpuparams_batch.n_threads = config["prompt_threads"]
    params.cache_ram_mib = config["cache_ram_mib"]
    for path, value in config["set"].items():
        put(params, path, value)
    server = xllamacpp.Server(params)
    port = int(server.listening_address.rsplit(":", 1)[1])
    answers.write(json.dumps({"ready": True, "port": port}) + "\n")
    answers.flush()
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
