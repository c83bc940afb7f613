"""Tables of the measurements here, and where they go in bench/RESULTS.md."""
import os
import platform
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "---:|" * (len(head) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def spread(values, form="{:,.0f}"):
    return " / ".join(form.format(v) for v in (min(values), statistics.median(values), max(values)))


class Run:
    """When, how and on what machine a measurement ran; made before it begins."""

    def __init__(self):
        self.began, self.load = time.monotonic(), os.getloadavg()[0]

    def line(self, program):
        return (f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, `{' '.join([program, *sys.argv[1:]])}`: "
                f"Linux {platform.release()}, {os.cpu_count()} cores, load {self.load:.1f} before, {os.getloadavg()[0]:.1f} after "
                f"(other work runs on this machine), {time.monotonic() - self.began:.0f} s in all.")


def slope(points):
    """Least squares of (x, y) pairs: y gained for each x."""
    mean_x, mean_y = (statistics.fmean(values) for values in zip(*points))
    spread_x = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread_x if spread_x else 0.0


def say(text):
    print(text, file=sys.stderr, flush=True)


def write(program, text):
    """Between the two marks of bench/RESULTS.md; what people wrote around them stays."""
    path, begin, end = f"{HERE}/RESULTS.md", f"<!-- {program} -->\n", "<!-- end -->\n"
    with open(path, encoding="utf-8") as file:
        before, found, rest = file.read().partition(begin)
    if not found:
        raise SystemExit(f"{program}: {path} has no mark {begin.strip()}")
    after = rest.partition(end)[2]
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + text + end + after)


def publish(program, lines, keep):
    text = "\n".join(lines) + "\n"
    print(text)
    if keep:
        write(program, text)
