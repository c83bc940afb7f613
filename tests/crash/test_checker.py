"""The checker objects to a history with each violation, and only then; the proxy does to bytes what it is told."""
import copy
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from judge import judge
from proxy import Proxy
from servers import wait_until
from tale import Tale, drop, found
from tap import main, test


def good():
    """Three jobs of one key, one after the other."""
    tale = Tale()
    for n in (1, 2, 3):
        tale.submit(n, n * 1.0)
        tale.job(n)
        tale.call(n, n * 1.0 + 0.2, n * 1.0 + 0.5)
        tale.ask("poll", n * 1.0 + 0.3, n * 1.0 + 0.31, answer={"status": 404, "state": "running"}, job=f"job-{n}")
        tale.ask("poll", n * 1.0 + 0.6, n * 1.0 + 0.7, answer={"status": 200, "body": "b"}, job=f"job-{n}")
    return tale


def objects(name, invariant):
    """The function breaks a good history; the checker must name invariant, and nothing else."""
    def mark(change):
        @test(name=f"the_checker_objects_to_{name}")
        def _():
            tale = good()
            change(tale)
            assert found(tale) == {invariant}, judge(tale.events).violations
        return change
    return mark


@test
def the_checker_is_content_with_a_good_history():
    verdict = judge(good().events)
    assert verdict.good and verdict.jobs == 3 and verdict.calls == 3, verdict.violations


@objects("an_accepted_job_that_is_not_in_the_ledger", "I1")
def _(tale):
    tale.submit(4, 5.0)


@objects("an_accepted_job_without_a_result", "I1")
def _(tale):
    tale.submit(4, 5.0)
    tale.row("job", job="job-4", environment=1, key=1, seq=4, retries=0, n=4)


@objects("a_job_that_nobody_was_told_of_and_that_never_ended", "I1")
def _(tale):
    tale.ask("submit", 5.0, 5.1, "unknown", n=4, key="dev", kind="one", calls=1, retries=0, node=0)
    tale.row("job", job="job-4", environment=1, key=1, seq=4, retries=0, n=4)


@objects("two_jobs_for_one_idempotency_key", "I1")
def _(tale):
    for job, at in (("job-4", 5.0), ("job-5", 6.0)):
        tale.submit(4, at, idem="k", job=job)
        tale.job(4, job=job, run=f"run-{job}")
        tale.call(4, at + 0.2, at + 0.3, job=job, run=f"run-{job}")


@objects("one_request_that_became_two_jobs", "I1")
def _(tale):
    tale.job(1, job="job-1b", run="run-1b")
    tale.call(1, 9.0, 9.1, run="run-1b", job="job-1b")


@objects("a_refused_request_that_became_a_job", "I12")
def _(tale):
    tale.ask("submit", 5.0, 5.1, "fail", {"status": 429, "retry_after": True}, n=4, key="dev", kind="one", calls=0, retries=0, node=0)
    tale.job(4, attempts=0)


@objects("a_refusal_without_retry_after", "I12")
def _(tale):
    tale.ask("poll", 5.0, 5.1, "fail", {"status": 503, "retry_after": False}, job="job-1")


@objects("two_results_of_one_job", "I4")
def _(tale):
    tale.row("result", job="job-1", attempt=1, state=2, output="run-1")


@objects("two_different_answers_of_one_job", "I4")
def _(tale):
    tale.ask("poll", 5.0, 5.1, answer={"status": 200, "body": "another"}, job="job-1")


@objects("an_answer_that_the_ledger_contradicts", "I4")
def _(tale):
    for event in tale.events:
        if event.get("table") == "result" and event["job"] == "job-2":
            event["state"] = 2


@objects("a_success_that_no_provider_saw", "I4")
def _(tale):
    drop(tale, e="call", n=2)


@objects("a_success_with_half_of_its_calls", "I4")
def _(tale):
    tale.submit(4, 5.0, calls=2)
    tale.job(4)
    tale.call(4, 5.2, 5.3)


@objects("a_success_of_a_sync_call_that_no_provider_saw", "I4")
def _(tale):
    tale.ask("call", 5.0, 5.2, answer={"status": 200}, n=4, key="dev", kind="one", calls=1, node=0)


@objects("a_second_start_without_retries", "I5")
def _(tale):
    tale.submit(4, 5.0)
    tale.job(4, attempts=2, run="run-4b")
    tale.call(4, 5.2, 5.3)
    tale.call(4, 5.4, 5.5, run="run-4b")


@objects("a_start_beyond_the_retries", "I5")
def _(tale):
    tale.submit(4, 5.0, retries=1)
    tale.job(4, retries=1, attempts=2, run="run-4c")
    for i, run in enumerate(("run-4a", "run-4b", "run-4c")):
        tale.call(4, 5.2 + i, 5.3 + i, run=run)


@objects("an_effect_that_the_ledger_knows_no_attempt_of", "I5")
def _(tale):
    drop(tale, e="row", table="attempt", job="job-2")


@objects("a_sync_call_that_started_twice", "I5")
def _(tale):
    tale.ask("call", 5.0, 5.9, answer={"status": 200}, n=4, key="dev", kind="one", calls=1, node=0)
    for i, run in enumerate(("a", "b")):
        tale.call(4, 5.2 + i / 10, 5.25 + i / 10, run=run, job="")


@objects("two_of_one_key_at_once", "I3")
def _(tale):
    drop(tale, e="call", n=2)
    tale.call(2, 1.4, 1.45)
    tale.call(2, 2.4, 2.45)
    tale.call(1, 1.42, 1.5)  # by the run of job 1, between the two of job 2


@objects("a_next_job_that_began_while_the_call_of_one_that_succeeded_was_open", "I3")
def _(tale):
    for event in tale.events:
        if event["e"] == "call" and event["n"] == 1:
            event["ended"] = 2.3


@objects("a_job_of_another_environment_that_shares_the_key_at_once", "I3")
def _(tale):
    tale.submit(4, 3.0)
    tale.job(4)
    tale.call(4, 3.3, 3.4)


@objects("more_at_once_than_the_limit_of_a_key", "I3")
def _(tale):
    tale.row("key", key=2, slots=2)
    for n in (4, 5, 6):
        tale.submit(n, 5.0 + n / 100, calls=1)
        tale.job(n, key=2)
        tale.call(n, 6.0 + n / 100, 7.0)


@objects("a_job_that_overtook_one_accepted_before", "I3")
def _(tale):
    for n, at in ((4, 6.5), (5, 6.3)):
        tale.submit(n, n * 1.0)
        tale.job(n)
        tale.call(n, at, at + 0.05)


@test
def the_checker_allows_a_job_to_pass_one_whose_first_try_failed_before_any_call():
    tale = good()
    for n, at, attempts in ((4, 6.5, 2), (5, 6.3, 1)):
        tale.submit(n, n * 1.0, retries=1)
        tale.job(n, retries=1, attempts=attempts)
        tale.call(n, at, at + 0.05)
    assert found(tale) == set(), judge(tale.events).violations


@objects("a_late_job_that_a_fault_of_another_node_does_not_explain", "I3")
def _(tale):
    for n, at in ((4, 6.5), (5, 6.3)):
        tale.submit(n, n * 1.0)
        tale.job(n)
        tale.call(n, at, at + 0.05)
    tale.fault("node_kill", 4.5, 4.6, node=1)


def stale(tale, calls):
    """Job 4 has a second run; its first one calls again that often after the second has begun."""
    tale.submit(4, 5.0, retries=1)
    tale.job(4, retries=1, attempts=2, run="run-4b")
    tale.call(4, 5.2, 5.3)
    tale.call(4, 8.0, 8.1, run="run-4b")
    for i in range(calls):
        tale.call(4, 8.2 + i / 10, 8.25 + i / 10)


@objects("two_calls_of_a_worker_after_its_successor_began", "I6")
def _(tale):
    stale(tale, 2)
    tale.fault("node_stop", 5.3, 8.1, node=0)


@objects("a_call_of_an_earlier_run_after_its_successor_began_without_any_fault", "I3")
def _(tale):
    stale(tale, 1)


@objects("a_start_after_the_cancel_that_no_begin_allowed", "I5")
def _(tale):
    tale.submit(4, 5.0)
    tale.job(4, state=3, attempts=0)
    tale.ask("cancel", 5.2, 5.3, answer={"status": 200}, job="job-4")
    tale.call(4, 5.4, 5.5)


@objects("two_calls_after_the_cancel_was_answered", "I6")
def _(tale):
    tale.submit(4, 5.0)
    tale.job(4, state=3)
    tale.ask("cancel", 5.2, 5.3, answer={"status": 200}, job="job-4")
    tale.call(4, 5.4, 5.5)
    tale.call(4, 5.6, 5.7)


@objects("a_call_long_after_the_cancel_was_answered", "I6")
def _(tale):
    tale.submit(4, 5.0)
    tale.job(4, state=3)
    tale.call(4, 5.15, 5.2)
    tale.ask("cancel", 5.2, 5.3, answer={"status": 200}, job="job-4")
    tale.call(4, 9.4, 9.5)


@objects("a_cancel_that_did_not_hold", "I4")
def _(tale):
    tale.ask("cancel", 1.2, 1.3, answer={"status": 200}, job="job-1")


@objects("a_job_set_aside_after_one_death", "R3")
def _(tale):
    tale.submit(4, 5.0)
    tale.job(4, state=2, run="run-4 poison: ")
    tale.call(4, 5.2, 5.3)
    tale.row("dead", job="job-4", deaths=1)


@objects("a_job_set_aside_whose_result_says_something_else", "R3")
def _(tale):
    tale.submit(4, 5.0)
    tale.job(4)
    tale.call(4, 5.2, 5.3)
    tale.row("dead", job="job-4", deaths=3)


@objects("a_poll_that_does_not_know_an_accepted_job", "R2")
def _(tale):
    tale.ask("poll", 1.2, 1.3, answer={"status": 404, "state": None}, job="job-1")


@objects("a_poll_that_says_open_after_it_said_ended", "R2")
def _(tale):
    tale.ask("poll", 5.0, 5.1, answer={"status": 404, "state": "queued"}, job="job-1")


@objects("a_poll_that_says_open_after_the_cancel", "R2")
def _(tale):
    tale.submit(4, 5.0)
    tale.job(4, state=3)
    tale.ask("cancel", 5.2, 5.3, answer={"status": 200}, job="job-4")
    tale.ask("poll", 5.4, 5.5, answer={"status": 404, "state": "queued"}, job="job-4")


@objects("a_cancel_that_does_not_know_an_accepted_job", "R2")
def _(tale):
    tale.ask("cancel", 5.0, 5.1, "fail", {"status": 404}, job="job-1")


@test
def the_checker_allows_what_faults_may_cost():
    tale = good()
    stale(tale, 1)
    tale.fault("node_stop", 5.3, 8.1, node=0)  # one call was on the wire
    for n, at in ((6, 12.5), (7, 12.3)):  # a push that was lost with its node
        tale.submit(n, n + 4.0)
        tale.job(n)
        tale.call(n, at, at + 0.05)
    tale.fault("node_kill", 10.05, 10.2, node=0)
    tale.row("key", key=2, slots=2)
    for n in (8, 9):  # two of a key whose limit is two
        tale.submit(n, 13.0)
        tale.job(n, key=2)
        tale.call(n, 14.0 + n / 100, 15.0)
    verdict = judge(tale.events)
    assert verdict.good and verdict.on_wire == 1 and verdict.late == 1, verdict.violations


@test
def an_unknown_outcome_may_have_happened_or_not():
    for happened in (False, True):
        tale = good()
        tale.ask("submit", 5.0, 5.1, "unknown", n=4, key="dev", kind="one", calls=1, retries=0, node=0)
        if happened:
            tale.job(4)
            tale.call(4, 5.2, 5.3)
        assert judge(copy.deepcopy(tale.events)).good


# ---- the proxy ----------------------------------------------------------------------------------

class Echo:
    """Answers every byte with itself, prefixed; keeps what it got and how connections ended."""

    def __init__(self):
        self.got, self.ends = b"", []
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            while True:
                piece = sock.recv(65536)
                if not piece:
                    self.ends.append("end")
                    sock.close()
                    return
                self.got += piece
                sock.sendall(piece)
        except OSError:
            self.ends.append("reset")


def link(unix=False):
    echo = Echo()
    proxy = Proxy(f"/tmp/proxy-test-{os.getpid()}" if unix else ("127.0.0.1", 0), echo.listener.getsockname())
    return echo, proxy


def dial(proxy):
    sock = socket.socket(socket.AF_UNIX if isinstance(proxy.address, str) else socket.AF_INET)
    sock.settimeout(3)
    sock.connect(proxy.address)
    return sock


def read(sock, count):
    out = b""
    while len(out) < count:
        piece = sock.recv(count - len(out))
        if not piece:
            break
        out += piece
    return out


@test
def the_proxy_passes_bytes_both_ways_on_tcp_and_unix_sockets():
    for unix in (False, True):
        echo, proxy = link(unix)
        sock = dial(proxy)
        big = os.urandom(3_000_000)
        threading.Thread(target=sock.sendall, args=(big,), daemon=True).start()
        assert read(sock, len(big)) == big
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b"" and wait_until("the server saw the end", lambda: echo.ends == ["end"])
        proxy.stop()


@test
def the_proxy_delays_splits_and_holds():
    _, proxy = link()
    sock = dial(proxy)
    proxy.delay(0.15)
    began = time.monotonic()
    sock.sendall(b"x")
    assert read(sock, 1) == b"x" and 0.3 <= time.monotonic() - began < 2
    proxy.calm()
    proxy.split(1)
    sock.sendall(b"abcdef")
    assert read(sock, 6) == b"abcdef"
    proxy.hold()
    sock.sendall(b"late")
    sock.settimeout(0.3)
    try:
        sock.recv(1)
        raise AssertionError("it came through")
    except TimeoutError:
        pass
    late = dial(proxy)  # taken, and as silent
    proxy.flow()
    sock.settimeout(3)
    assert read(sock, 4) == b"late"
    late.close()
    proxy.stop()


@test
def the_proxy_cuts_after_bytes_by_reset_or_half():
    _, proxy = link()
    sock = dial(proxy)
    proxy.cut_after(5, "down")
    sock.sendall(b"0123456789")
    got = b""
    try:
        while True:
            piece = sock.recv(10)
            if not piece:
                raise AssertionError("it ended, but not by a reset")
            got += piece
    except ConnectionResetError:
        pass
    assert len(got) <= 5, got
    proxy.calm()
    sock = dial(proxy)
    sock.sendall(b"x")
    assert read(sock, 1) == b"x"
    proxy.cut("half")
    assert sock.recv(1) == b""
    sock.sendall(b"still open this way")
    proxy.cut("close")
    proxy.stop()


@test
def the_proxy_loses_the_answer_to_a_pattern_that_came_in_two_pieces():
    echo, proxy = link()
    sock = dial(proxy)
    sock.sendall(b"COM")
    assert read(sock, 3) == b"COM"
    proxy.lose_answer(b"COMMIT", linger=0.2)
    sock.sendall(b"COMM")
    assert read(sock, 4) == b"COMM"
    sock.sendall(b"IT;")
    try:
        assert sock.recv(1) == b"", "an answer came"
    except ConnectionResetError:
        pass
    assert echo.got == b"COMCOMMIT;" and proxy.lost == 1
    proxy.lose_answer(b"COMMIT", forward=False, linger=0.1)
    sock = dial(proxy)
    sock.sendall(b"COMMIT")
    try:
        assert sock.recv(1) == b""
    except ConnectionResetError:
        pass
    assert echo.got == b"COMCOMMIT;", "it was to be lost on its way"
    proxy.stop()


@test
def the_proxy_refuses_and_accepts_again_and_changes_its_target():
    _, proxy = link()
    proxy.refuse()
    try:
        dial(proxy)
        raise AssertionError("somebody listens")
    except ConnectionRefusedError:
        pass
    other = Echo()
    proxy.target = other.listener.getsockname()
    proxy.accept()
    sock = dial(proxy)
    sock.sendall(b"y")
    assert read(sock, 1) == b"y" and other.got == b"y"
    proxy.stop()


main()
