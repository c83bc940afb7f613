"""A small test runner: functions marked @test, TAP on standard output, one time limit each.

    @test
    def a_job_survives_the_daemon(rig): ...

    main(Rig)   # or main(lambda: Rig(nodes=2)); every test gets the one rig that this makes

The name is the claim.  Exit code 0 only when all passed.  FILE [NAME...] runs the tests whose names
contain one of the words.
"""
import signal
import sys
import time
import traceback

_tests = []


class TimedOut(Exception):
    pass


def test(function=None, *, seconds=60, name=None):
    """Marks a test; seconds is its limit.  name replaces the function's for tests made in a loop."""
    def mark(wanted):
        _tests.append((name or wanted.__name__, wanted, seconds))
        return wanted
    return mark(function) if function else mark


def _alarm(_signal, _frame):
    raise TimedOut("the test's time is over")


def _run(number, name, function, seconds, rig):
    started = time.monotonic()
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(seconds)
    try:
        function(rig) if rig is not None else function()
        ok = True
    except Exception:  # pylint: disable=broad-except
        ok = False
        text = traceback.format_exc()
    finally:
        signal.alarm(0)
    took = int((time.monotonic() - started) * 1000)
    print(f"{'ok' if ok else 'not ok'} {number} - {name} ({took} ms)")
    if not ok:
        for line in text.splitlines():
            print(f"#   {line}")
        if rig is not None and hasattr(rig, "describe"):
            for line in rig.describe():
                print(f"#   {line}")
    sys.stdout.flush()
    return ok


def main(make_rig=None):
    """Runs the tests of the file and exits."""
    words = sys.argv[1:]
    chosen = [t for t in _tests if not words or any(w in t[0] for w in words)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    good = 0
    rig = None
    try:
        if make_rig is not None:
            signal.signal(signal.SIGALRM, _alarm)
            signal.alarm(120)
            try:
                rig = make_rig().__enter__()
            except Exception:  # pylint: disable=broad-except
                print("not ok 1 - the rig starts")
                for line in traceback.format_exc().splitlines():
                    print(f"#   {line}")
                print("1..1")
                sys.exit(1)
            finally:
                signal.alarm(0)
        for number, (name, function, seconds) in enumerate(chosen, 1):
            good += _run(number, name, function, seconds, rig)
    finally:
        if rig is not None:
            rig.__exit__(None, None, None)
    print(f"1..{len(chosen)}")
    sys.exit(0 if good == len(chosen) else 1)
