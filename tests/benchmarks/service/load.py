"""A load generator that costs little: so many connections, each asking again as soon as it is answered, or at a rate.

The argument is a JSON object of what `load` takes. What it prints is one too: the seconds of every answer, and how many
were not answered with 200.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from dataclasses import dataclass, field

import click


@dataclass
class Result:
    """What came back."""

    seconds: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    def failed(self, what: str) -> None:
        """Count what went wrong."""
        self.errors[what] = self.errors.get(what, 0) + 1


async def answer(reader: asyncio.StreamReader) -> tuple[int, int]:
    """Read one response; its status and its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    headers = head.lower()
    if b"transfer-encoding: chunked" in headers:
        size = 0
        while length := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await reader.readexactly(length + 2)
            size += length
        await reader.readexactly(2)
        return status, size
    length = int(headers.split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return status, length


async def connection(port: int, requests: list[bytes], until: float, pause: float, result: Result, seed: int) -> None:
    """One connection's work. With a pause, the next request is due at a fixed moment, late or not."""
    chance = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    due = time.perf_counter() + chance.random() * pause
    while (now := time.perf_counter()) < until:
        if pause:
            await asyncio.sleep(max(0.0, due - now))
            started, due = due, due + pause
        else:
            started = now
        writer.write(chance.choice(requests))
        try:
            status, _ = await answer(reader)
        except (OSError, asyncio.IncompleteReadError) as error:
            result.failed(type(error).__name__)
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
            continue
        result.seconds.append(time.perf_counter() - started)
        if status != 200:
            result.failed(str(status))
    writer.close()


async def load(
    port: int, path: str, bodies: list[str], connections: int, seconds: float, rate: float | None = None
) -> Result:
    """Ask for so many seconds.

    Args:
        rate: requests a second of all connections together; without it, as fast as they are answered.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body.encode())}\r\n\r\n{body}".encode() for body in bodies]
    result = Result()
    until = time.perf_counter() + seconds
    pause = connections / rate if rate else 0.0
    work = (connection(port, requests, until, pause, result, seed) for seed in range(connections))
    await asyncio.gather(*work)
    return result


def main() -> None:
    """Run one load, as the argument says."""
    import uvloop

    result = uvloop.run(load(**json.loads(sys.argv[1])))
    click.echo(json.dumps({"seconds": [round(value, 6) for value in result.seconds], "errors": result.errors}))


if __name__ == "__main__":
    main()
