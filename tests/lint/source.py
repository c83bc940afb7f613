"""What the lint tests share: our C files, and their text without comments and strings."""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("base", "http", "sql", "queue", "runtime", "provider", "daemon", "cli")
sys.path.insert(0, f"{ROOT}/tests/lib")

_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def files(*endings, folders=FOLDERS):
    """Paths from the root, sorted."""
    found = []
    for folder in folders:
        for place, names, leaves in os.walk(f"{ROOT}/{folder}"):
            names[:] = [n for n in names if n != "node_modules"]
            found += [os.path.relpath(f"{place}/{leaf}", ROOT) for leaf in leaves if leaf.endswith(endings)]
    return sorted(found)


def read(path):
    with open(f"{ROOT}/{path}", encoding="utf-8") as file:
        return file.read()


def code(text):
    """text with comments blanked and strings emptied; line numbers stay."""
    def blank(match):
        token = match.group()
        lines = "\n" * token.count("\n")
        return " " + lines if token.startswith("/") else token[0] * 2 + lines
    return _TOKEN.sub(blank, text)


def comments(text):
    """(line number, comment text) of each comment."""
    for match in _TOKEN.finditer(text):
        if match.group().startswith("/"):
            yield text.count("\n", 0, match.start()) + 1, match.group()
