"""A small proxy between a client and a server, TCP or unix sockets, that does to the bytes what a bad network does.

    proxy = Proxy(listen="/dir/.s.PGSQL.5432", target="/pg/.s.PGSQL.5432")   # or ("127.0.0.1", port)
    proxy.delay(0.2)                       # each piece takes that long, both ways
    proxy.split(3)                         # pieces of 3 bytes
    proxy.hold() / proxy.flow()            # nothing passes (connections stay) / all passes again
    proxy.swallow("down")                  # read and thrown away
    proxy.cut()                            # all links now, by reset; how="close" or "half"
    proxy.cut_after(100, "up")             # each link once 100 more bytes have passed
    proxy.lose_answer(b"pattern")          # what holds pattern arrives, nothing comes back, then a reset
    proxy.stall(b"pattern")                # what holds pattern, and all behind it on that link, waits for release()
    proxy.refuse() / proxy.accept()        # nobody listens / somebody does
    proxy.target = other                   # for links made from now on

"up" is from client to server.  Every rule holds for links that are there and for new ones, until calm().
One thread does all links; stop() ends it.
"""
import os
import selectors
import socket
import struct
import threading
import time
from collections import deque

PIECE = 65536
ROOM = 1 << 20  # bytes that wait in one direction at most


def connect(target, seconds=5.0):
    sock = socket.socket(socket.AF_UNIX if isinstance(target, str) else socket.AF_INET)
    sock.settimeout(seconds)
    try:
        sock.connect(target)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


class Pipe:
    """One direction of a link."""

    def __init__(self, link, name, source, sink):
        self.link, self.name, self.source, self.sink = link, name, source, sink
        self.waiting = deque()  # (when it may go, bytes)
        self.size = self.passed = 0
        self.ended = self.shut = self.lost = self.stalled = False
        self.window = b""  # the last bytes, for a pattern that comes in two pieces


class Link:
    def __init__(self, client, server):
        self.client, self.server = client, server
        self.up = Pipe(self, "up", client, server)
        self.down = Pipe(self, "down", server, client)
        self.cut_at = None  # when it is reset
        self.closed = False


class Proxy:
    def __init__(self, listen=("127.0.0.1", 0), target=None):
        self.target = target
        self.links, self.made, self.lost, self.stalled = [], 0, 0, 0  # the last two: links that a pattern has cut, or stalled
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._wake, wake = socket.socketpair()
        self._woken = wake
        wake.setblocking(False)
        self._selector.register(wake, selectors.EVENT_READ, None)
        self._stopped = False
        self._reset_rules()
        self._address = listen
        self._listener = None
        self.accept()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # ---- addresses
    @property
    def address(self):
        return self._address

    @property
    def port(self):
        return self._address[1]

    def accept(self):
        """Listens (again)."""
        with self._lock:
            if self._listener is not None:
                return
            if isinstance(self._address, str):
                if os.path.exists(self._address):
                    os.unlink(self._address)
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(self._address)
                os.chmod(self._address, 0o777)
            else:
                listener = socket.socket(socket.AF_INET)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(self._address)
                self._address = listener.getsockname()
            listener.listen(128)
            listener.setblocking(False)
            self._listener = listener
            self._selector.register(listener, selectors.EVENT_READ, None)
            self._poke()

    def refuse(self):
        """Nobody listens; links that are there stay."""
        with self._lock:
            if self._listener is None:
                return
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            if isinstance(self._address, str) and os.path.exists(self._address):
                os.unlink(self._address)

    # ---- rules
    def _reset_rules(self):
        self._delay = {"up": 0.0, "down": 0.0}
        self._split = 0
        self._held = self._left = None
        self._swallow = set()
        self._cut_after = {}
        self._pattern = self._stall = None
        for link in self.links:
            link.up.stalled = False

    def _rule(self, change):
        with self._lock:
            change()
            self._poke()

    def calm(self):
        """No rule any more; what waits goes on."""
        self._rule(self._reset_rules)

    def delay(self, seconds, direction=None):
        self._rule(lambda: self._delay.update({d: seconds for d in ([direction] if direction else ["up", "down"])}))

    def split(self, size):
        self._rule(lambda: setattr(self, "_split", size))

    def hold(self):
        """A black hole: connections are taken, nothing passes, nothing is lost."""
        self._rule(lambda: setattr(self, "_held", True))

    def flow(self):
        self._rule(lambda: setattr(self, "_held", None))

    def swallow(self, direction):
        self._rule(lambda: self._swallow.add(direction))

    def cut(self, how="reset"):
        """Every link, now.  close: an end as a process makes it; half: no more answers, the question stays open."""
        with self._lock:
            for link in list(self.links):
                self._cut(link, how)
            self._poke()

    def cut_after(self, count, direction="up", how="reset"):
        """Once count more bytes have passed in that direction; each link once."""
        def change():
            self._cut_after[direction] = (count, how)
            for link in self.links:
                getattr(link, direction).passed = 0
        self._rule(change)

    def lose_answer(self, pattern, linger=0.3, forward=True, times=1):
        """The next times that pattern goes up: it arrives (or not: forward), no answer comes, the link is reset after linger."""
        self._rule(lambda: setattr(self, "_pattern", [pattern, linger, forward, times]))

    def stall(self, pattern):
        """The next time that pattern goes up: it waits with all that follows on its link, which stays, until release()."""
        self._rule(lambda: setattr(self, "_stall", pattern))

    def release(self):
        self._rule(lambda: [setattr(link.up, "stalled", False) for link in self.links])

    # ---- the loop
    def _poke(self):
        try:
            self._wake.send(b"x")
        except OSError:
            pass

    def _run(self):
        while not self._stopped:
            with self._lock:
                timeout = self._arm()
            events = self._selector.select(timeout)
            with self._lock:
                if self._stopped:
                    return
                for key, mask in events:
                    if key.fileobj is self._woken:
                        self._woken.recv(4096)
                    elif key.fileobj is self._listener:
                        self._take()
                    elif key.data is not None and not key.data[0].closed:
                        self._serve(key.data, key.fileobj, mask)
                now = time.monotonic()
                for link in list(self.links):
                    if link.cut_at is not None and link.cut_at <= now:
                        self._cut(link, "reset")

    def _take(self):
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        client.setblocking(False)
        try:
            server = connect(self.target)
        except OSError:
            client.close()
            return
        link = Link(client, server)
        self.links.append(link)
        self.made += 1

    def _arm(self):
        """Watches what may move now; returns how long to wait for what may move later."""
        now, soonest = time.monotonic(), None
        for link in self.links:
            wanted = {link.client: 0, link.server: 0}
            for pipe in (link.up, link.down):
                if not pipe.ended and not self._held and pipe.size < ROOM:
                    wanted[pipe.source] |= selectors.EVENT_READ
                if pipe.waiting and not self._held and not pipe.stalled:
                    due = pipe.waiting[0][0]
                    if due <= now:
                        wanted[pipe.sink] |= selectors.EVENT_WRITE
                    else:
                        soonest = min(soonest or due, due)
                elif pipe.ended and not pipe.shut and not self._held:
                    self._shut(pipe)
            if link.cut_at is not None:
                soonest = min(soonest or link.cut_at, link.cut_at)
            for sock, mask in wanted.items():
                self._watch(link, sock, mask)
        self.links = [link for link in self.links if not link.closed]
        return 5.0 if soonest is None else max(0.0, soonest - now)

    def _watch(self, link, sock, mask):
        if link.closed:
            return
        known = self._selector.get_map().get(sock)
        if known is None and mask:
            self._selector.register(sock, mask, (link,))
        elif known is not None and not mask:
            self._selector.unregister(sock)
        elif known is not None and known.events != mask:
            self._selector.modify(sock, mask, (link,))

    def _serve(self, data, sock, mask):
        link = data[0]
        if mask & selectors.EVENT_READ:
            self._read(link.up if sock is link.client else link.down)
        if mask & selectors.EVENT_WRITE and not link.closed:
            self._write(link.up if sock is link.server else link.down)

    def _read(self, pipe):
        try:
            piece = pipe.source.recv(self._split or PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._cut(pipe.link, "reset")
            return
        if not piece:
            pipe.ended = True
            return
        if pipe.lost or pipe.name in self._swallow:
            return
        if pipe.name == "up" and self._pattern is not None:
            piece = self._look(pipe, piece)
        if pipe.name == "up" and self._stall is not None and self._stall in piece:
            self._stall, pipe.stalled = None, True
            self.stalled += 1
        if piece:
            pipe.waiting.append((time.monotonic() + self._delay[pipe.name], piece))
            pipe.size += len(piece)

    def _look(self, pipe, piece):
        pattern, linger, forward, times = self._pattern
        window = pipe.window + piece
        pipe.window = window[-(len(pattern) - 1):] if len(pattern) > 1 else b""
        if pattern not in window:
            return piece
        self._pattern = [pattern, linger, forward, times - 1] if times > 1 else None
        self.lost += 1
        pipe.link.down.lost = True
        pipe.link.down.waiting.clear()
        pipe.link.down.size = 0
        pipe.link.cut_at = time.monotonic() + linger
        if not forward:
            pipe.lost = True
            return b""
        return piece

    def _write(self, pipe):
        if not pipe.waiting or pipe.stalled or pipe.waiting[0][0] > time.monotonic():
            return
        due, piece = pipe.waiting.popleft()
        limit = self._cut_after.get(pipe.name)
        room = len(piece) if limit is None else max(0, limit[0] - pipe.passed)
        try:
            sent = pipe.sink.send(piece[:room]) if room else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._cut(pipe.link, "reset")
            return
        pipe.size -= sent
        pipe.passed += sent
        if sent < len(piece):
            pipe.waiting.appendleft((due, piece[sent:]))
        if limit is not None and pipe.passed >= limit[0]:
            self._cut(pipe.link, limit[1])

    def _shut(self, pipe):
        pipe.shut = True
        try:
            pipe.sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        link = pipe.link
        if link.up.shut and link.down.shut:
            self._cut(link, "close")

    def _cut(self, link, how):
        if link.closed:
            return
        if how == "half":
            self._shut(link.down)
            link.down.ended = link.down.lost = True
            return
        link.closed = True
        for sock in (link.client, link.server):
            if self._selector.get_map().get(sock) is not None:
                self._selector.unregister(sock)
            if how == "reset" and sock.family == socket.AF_INET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        if link in self.links:
            self.links.remove(link)

    def stop(self):
        with self._lock:
            self._stopped = True
            self._poke()
        self._thread.join(5)
        with self._lock:
            for link in list(self.links):
                self._cut(link, "close")
            self.refuse()
            self._selector.close()
            self._wake.close()
            self._woken.close()
