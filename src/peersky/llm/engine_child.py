"""The engine process: llama.cpp's own HTTP server on loopback. Run as a script by engine.py, imports nothing of ours.

Standard input: one line of JSON (written by ``Engine._launch``), then silence until its end, which ends this process.
Standard output: one line of JSON, ``{"ready": true, "port": N}`` or ``{"ready": false, "error": "…"}``.
Standard error: llama.cpp's error messages.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Ask Linux to kill this process with the thread that started it.

    The end of standard input does the same everywhere, but only once the model is loaded: the constructor of the server
    holds the interpreter lock until then.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:  # The parent was gone before the kernel was asked.
        os._exit(1)


def limit_address_space(size_bytes: int) -> None:
    """Let a runaway allocation fail with a message instead of taking the machine to the out-of-memory killer."""
    try:
        import resource  # Unix only
    except ImportError:
        return
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def start_server(config: dict[str, Any]) -> Any:
    """Load the model and serve it. Returns the server, which must be kept alive.

    Raises:
        RuntimeError: the model cannot be loaded; llama.cpp has said why on standard error.
    """
    import xllamacpp  # After the limits are set.

    params = xllamacpp.CommonParams()
    params.model.path = config["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # The kernel picks a free one: no race with another program.
    params.api_keys = [config["key"]]
    params.cors_origins = "localhost"
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False
    params.timeout_read = 10  # Half-open connections hold a thread each for this long.
    params.sse_ping_interval = config["ping_s"]
    params.verbosity = 1
    params.n_parallel = config["n_parallel"]
    # Not one pool for all slots: there, one long conversation ends the answers of all others.
    params.kv_unified = False
    params.n_ctx = config["n_ctx"]
    # Cancelling and fairness happen between batches; 256 costs no throughput on a CPU.
    params.n_batch = config["n_batch"]
    params.n_ubatch = config["n_batch"]
    params.cpuparams.n_threads = config["answer_threads"]
    params.cpuparams_batch.n_threads = config["prompt_threads"]
    params.cache_ram_mib = config["cache_ram_mib"]
    if config["embedding"]:
        params.embedding = True
    if config.get("projector"):
        params.mmproj.path = config["projector"]
    if config.get("chat_template"):
        params.chat_template = config["chat_template"]  # The full text: a name of a template would be the prompt.
    return xllamacpp.Server(params)


def main() -> NoReturn:
    # llama.cpp and its libraries may print; only the readiness line belongs on standard output.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    config = json.loads(sys.stdin.buffer.readline())
    die_with_parent(config["parent_pid"])
    limit_address_space(config["address_space_bytes"])
    try:
        server = start_server(config)
    except (RuntimeError, MemoryError, ImportError, OSError) as error:
        answers.write(json.dumps({"ready": False, "error": str(error)}) + "\n")
        answers.flush()
        # llama.cpp writes its log from a thread that cannot be asked to finish, and the reason is still in there.
        time.sleep(0.5)
        os._exit(3)
    port = int(server.listening_address.rsplit(":", 1)[1])
    answers.write(json.dumps({"ready": True, "port": port}) + "\n")
    answers.flush()
    while sys.stdin.buffer.read(4096):
        pass
    # No teardown: it waits for open connections, and there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main()
