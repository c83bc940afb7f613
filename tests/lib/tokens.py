"""A token endpoint (RFC 6749) as a strict provider has it, and a resource that takes the newest token only.

    tokens = Tokens()
    grant = tokens.grant(expires_in=3600)          # access_token, refresh_token of a new family
    POST /token      grant_type=refresh_token or client_credentials; the client in the body or as Basic
    GET  /resource   200 with the newest access token of a family, else 401

A refresh token is good once (rotate=True): who sends one again has the whole family revoked, as in RFC 9700 section
4.14.2, unless lenient=True (then the answer is the newest pair again until that was used).  plan([...]) says what the
next calls get instead: (status, content type, body), a callable(server, form), or None for the usual answer."""
import base64
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_plus

CLIENT = ("the-client", "the-secret/+&=")


class Family:
    def __init__(self, refresh=True):
        self.access = self.refresh = None
        self.old = set()
        self.revoked = False
        self.used = True
        self.renew(refresh)

    def renew(self, refresh=True):
        if self.refresh:
            self.old.add(self.refresh)
        self.access = "access-" + uuid.uuid4().hex
        if refresh:
            self.refresh = "refresh-" + uuid.uuid4().hex
        self.used = False


class Tokens:
    def __init__(self, rotate=True, lenient=False, expires_in=3600, delay=0.0):
        self.rotate, self.lenient, self.expires_in, self.delay = rotate, lenient, expires_in, delay
        self.calls = []      # (monotonic seconds, form) of each call of the token endpoint
        self.families = []
        self.answers = []    # what plan() said
        self.lock = threading.RLock()
        self.held = threading.Event()
        self.held.set()
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_args):
                pass

            def answer(self, status, kind, body):
                try:
                    self.send_response(status)
                    self.send_header("content-type", kind)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

            def do_GET(self):
                token = (self.headers.get("authorization") or "").removeprefix("Bearer ")
                good = tokens.use(token)
                self.answer(200 if good else 401, "application/json", b'{"ok":true}' if good else b'{"error":"invalid_token"}')

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                if (self.headers.get("content-type") or "").startswith("application/json"):
                    form = json.loads(body)
                else:
                    form = {k: v[-1] for k, v in parse_qs(body, keep_blank_values=True).items()}
                basic = self.headers.get("authorization") or ""
                if basic.startswith("Basic "):
                    name, _, word = base64.b64decode(basic[6:]).decode().partition(":")
                    form["client_id"], form["client_secret"] = unquote_plus(name), unquote_plus(word)
                status, kind, text = tokens.serve(form)
                self.answer(status, kind, text if isinstance(text, bytes) else text.encode())

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def plan(self, answers):
        with self.lock:
            self.answers = list(answers)

    def count(self):
        with self.lock:
            return len(self.calls)

    def hold(self):
        """Calls of the token endpoint wait until release()."""
        self.held.clear()

    def release(self):
        self.held.set()

    def grant(self, refresh=True):
        with self.lock:
            family = Family(refresh)
            self.families.append(family)
            return family

    def use(self, token):
        with self.lock:
            for family in self.families:
                if family.access == token and not family.revoked:
                    family.used = True
                    return True
        return False

    def serve(self, form):
        with self.lock:
            self.calls.append((time.monotonic(), form))
            planned = self.answers.pop(0) if self.answers else None
        self.held.wait(30)
        if self.delay:
            time.sleep(self.delay)
        if callable(planned):
            planned = planned(self, form)
        if planned is not None:
            return planned
        with self.lock:
            return self.usual(form)

    def refuse(self, error, status=400):
        return status, "application/json", json.dumps({"error": error, "error_description": "as the test wants it"})

    def usual(self, form):
        if (form.get("client_id"), form.get("client_secret")) != CLIENT:
            return self.refuse("invalid_client", 401)
        if form.get("grant_type") == "client_credentials":
            return self.pair(self.grant(refresh=False))
        if form.get("grant_type") != "refresh_token":
            return self.refuse("unsupported_grant_type")
        sent = form.get("refresh_token")
        for family in self.families:
            if family.revoked:
                continue
            if sent == family.refresh:
                family.renew(self.rotate)
                return self.pair(family)
            if sent in family.old:
                if self.lenient and not family.used:
                    return self.pair(family)
                family.revoked = True
        return self.refuse("invalid_grant")

    def pair(self, family):
        body = {"access_token": family.access, "token_type": "Bearer", "scope": "all"}
        if self.expires_in is not None:
            body["expires_in"] = self.expires_in
        if family.refresh and self.rotate:
            body["refresh_token"] = family.refresh
        return 200, "application/json", json.dumps(body)

    def stop(self):
        self.release()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.stop()
