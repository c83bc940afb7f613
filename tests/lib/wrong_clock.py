"""A wall clock that is wrong, for one process; its monotonic clock stays right."""
import os

LIBRARY = "libfaketimeMT.so.1"


def wrong_clock(**how):
    """The environment of such a process; how: variables of faketime, as FAKETIME="-90s"."""
    for folder, _, names in os.walk("/usr/lib"):
        if LIBRARY in names:
            return {"LD_PRELOAD": f"{folder}/{LIBRARY}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", **how}
    raise AssertionError("libfaketime is not installed (package faketime)")
