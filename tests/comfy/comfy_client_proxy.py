"""A proxy before a server, which loses and cuts what a test asks it to."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on, with these exceptions.

    Attributes:
        lose_answers: how many of the next answers to POST /prompt are lost, their connections cut.
        lose_requests: how many of the next POST /prompt never reach the server.
        refuse_websockets: whether a websocket is cut at once.
        prompts: how many POST /prompt have reached the server.
    """

    def __init__(self, url):
        self.url = ""
        self.lose_answers = self.lose_requests = self.prompts = 0
        self.refuse_websockets = False
        self._held = False
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._websockets = []
        self._history_asked = asyncio.Event()
        self._tasks = set()

    def hold(self):
        """Hold what is said over websockets from now on until the history is asked for."""
        self._held = True
        self._history_asked.clear()

    async def cut_websockets(self):
        """Cut all that are open."""
        for writer in self._websockets:
            writer.transport.abort()
        self._websockets.clear()

    async def serve(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        state = {"lose": False, "websocket": False}
        down = asyncio.create_task(self._down(server_reader, writer, state))
        self._tasks.add(down)
        down.add_done_callback(self._tasks.discard)
        while data := await self._read(reader):
            if data.startswith(b"GET /ws"):
                if self.refuse_websockets:
                    break
                self._websockets.append(writer)
                state["websocket"] = True
            if data.startswith(b"GET /history"):
                self._history_asked.set()
            if data.startswith(b"POST /prompt"):
                if self.lose_requests:
                    self.lose_requests -= 1
                    break
                self.prompts += 1
                state["lose"] = self.lose_answers > 0
                self.lose_answers -= state["lose"]
            server_writer.write(data)
        writer.close()
        if not state["lose"]:
            server_writer.close()

    async def _down(self, reader, writer, state):
        while data := await self._read(reader):
            if state["lose"]:
                break
            if state["websocket"] and self._held:
                await self._history_asked.wait()
            writer.write(data)
        writer.close()

    async def _read(self, reader):
        try:
            return await reader.read(2**16)
        except ConnectionError:
            return b""


@asynccontextmanager
async def proxy(url):
    """Run a proxy before the server at `url`."""
    found = Proxy(url)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
