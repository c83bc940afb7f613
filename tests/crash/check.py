#!/usr/bin/env python3
"""Judges a history that a chaos run or a crash test has kept: check.py HISTORY.  Exit code 0 only without violations."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from history import read
from judge import judge


def main():
    if len(sys.argv) != 2:
        print("usage: check.py HISTORY", file=sys.stderr)
        return 64
    verdict = judge(read(sys.argv[1]))
    print("\n".join(verdict.table()))
    for invariant, text in verdict.violations:
        print(f"{invariant}: {text}")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
