"""Reads the Prometheus text format 0.0.4, strictly: what a scraper would guess at is an error here."""
import math
import re

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"^({_NAME})(?:\{{(.*)\}})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
_ESCAPES = {'\\"': '"', "\\\\": "\\", "\\n": "\n"}


class Numbers(dict):
    """{(name, labels): number}, labels a sorted tuple of pairs; types and helps by family."""

    def __init__(self):
        super().__init__()
        self.types, self.helps = {}, {}

    def get_one(self, name, **labels):
        return self[(name, tuple(sorted(labels.items())))]

    def total(self, name, **labels):
        """Sum of the samples that have these labels; 0 when there is none."""
        return sum(value for (at, have), value in self.items() if at == name and set(labels.items()) <= set(have))

    def labels(self, name, label):
        return {dict(have).get(label) for (at, have) in self if at == name}


def _labels(text):
    pairs, at = [], 0
    while at < len(text):
        found = _LABEL.match(text, at)
        assert found, f"bad labels: {text}"
        pairs.append((found[1], re.sub(r'\\["\\n]', lambda m: _ESCAPES[m[0]], found[2])))
        at = found.end()
        assert at == len(text) or text[at] == ",", f"bad labels: {text}"
        at += 1
    assert len({name for name, _ in pairs}) == len(pairs), f"a label twice: {text}"
    return tuple(sorted(pairs))


def _number(text):
    if text in ("+Inf", "-Inf", "NaN"):
        return float(text.replace("Inf", "inf"))
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", text), f"bad number: {text}"
    return float(text)


def _family(name, types):
    for end in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(end)
        if base != name and types.get(base) == "histogram":
            return base
    return name


def parse(text):
    numbers, order = Numbers(), []
    assert text.endswith("\n"), "the last line has no end"
    for line in text[:-1].split("\n"):
        if line.startswith("# "):
            word, name, rest = (line[2:].split(" ", 2) + [""])[:3]
            known = {"HELP": numbers.helps, "TYPE": numbers.types}[word]
            assert re.fullmatch(_NAME, name) and name not in known, line
            assert word == "HELP" or rest in ("counter", "gauge", "histogram"), line
            assert name not in order, f"{word} of {name} stands behind its samples"
            known[name] = rest
            continue
        found = _SAMPLE.match(line)
        assert found, f"no sample: {line!r}"
        family = _family(found[1], numbers.types)
        assert family in numbers.types and family in numbers.helps, f"no TYPE or HELP before {line}"
        assert family not in order or order[-1] == family, f"samples of {family} are apart"
        if family not in order:
            order.append(family)
        key = (found[1], _labels(found[2] or ""))
        assert key not in numbers, f"a series twice: {line}"
        numbers[key] = _number(found[3])
    _check(numbers)
    return numbers


def _check(numbers):
    for name, kind in numbers.types.items():
        assert numbers.helps.get(name), f"{name} has no HELP"
        assert (kind == "counter") == name.endswith("_total"), f"{name} is a {kind}"
    for (name, labels), value in numbers.items():
        kind = numbers.types.get(_family(name, numbers.types))
        assert kind != "counter" or value >= 0, f"{name} is {value}"
    for family in [name for name, kind in numbers.types.items() if kind == "histogram"]:
        groups = {}
        for (name, labels), value in numbers.items():
            if name == f"{family}_bucket":
                rest = tuple(pair for pair in labels if pair[0] != "le")
                groups.setdefault(rest, []).append((_number(dict(labels)["le"]), value))
        assert groups, f"{family} has no buckets"
        for rest, buckets in groups.items():
            assert buckets == sorted(buckets) and buckets[-1][0] == math.inf, f"{family} {rest}: {buckets}"
            assert all(a[1] <= b[1] for a, b in zip(buckets, buckets[1:])), f"{family} {rest} falls"
            assert buckets[-1][1] == numbers[(f"{family}_count", rest)], f"{family} {rest}: count"
            assert (f"{family}_sum", rest) in numbers, f"{family} {rest}: sum"
