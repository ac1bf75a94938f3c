"""An engine whose words say when they were sent: stands in for ``engine_child.py`` where a token's way is timed.

Takes that program's first line. The request's ``seed`` is how many words a second come; 0 or none: 50.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

DEFAULT_RATE = 50


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one streamed answer, the end of the connection: as the engine does it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            return
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        request = json.loads(await reader.readexactly(length))
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
            b"Keep-Alive: timeout=5, max=100\r\n\r\n"
        )
        rate = request.get("seed") or DEFAULT_RATE
        count = request.get("max_tokens") or 100
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        send(writer, {"role": "assistant", "content": None})
        for number in range(count):
            if (ahead_s := began_s + number / rate - loop.time()) > 0:
                await asyncio.sleep(ahead_s)
            send(writer, {"content": f"{time.time() * 1000:.3f} "})
            await writer.drain()
        send(writer, {}, finish="length")
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()
    finally:
        writer.close()


def send(writer: asyncio.StreamWriter, delta: dict[str, str | None], finish: str | None = None) -> None:
    """One event, with about as many bytes around the word as llama.cpp sends."""
    event = {
        "choices": [{"finish_reason": finish, "index": 0, "delta": delta}],
        "created": int(time.time()),
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "model": "paced.gguf",
        "system_fingerprint": "b0-unknown",
        "object": "chat.completion.chunk",
    }
    data = b"data: " + json.dumps(event, separators=(",", ":")).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def main() -> None:
    sys.stdin.buffer.readline()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(json.dumps({"ready": True, "port": server.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
