"""A provider whose lists change while syncs read them, and the syncs that read them right.

    source = Source(witness)                    # serves /source/NAME/... of that witness
    source.put("c", "r1"); source.remove("c", "r1")
    rig.deploy_flows(source_flows())            # syncs `listing` and `changes`: a connection reads the list of its own name

An item is {id, v, text}: v is the number of the list's change that made it so, text follows from both.  Two ways to read:
    /source/NAME/list?at=ID       those after ID in the order of ids; to: where the next page begins, null on the last one
    /source/NAME/changes?at=V     what was changed after V, each id once, in the order of changes; gone items have "gone"
Every change and every page is kept with its time; tests/crash/judge_sync.py decides by them.
"""
import json
import random
import threading
import time

import flows


def text_of(ident, version):
    return f"{ident} as of {version} " * 3


class Source:
    def __init__(self, witness, seed=0):
        self.lock = threading.Lock()
        self.items, self.log, self.pages = {}, [], []  # {list: {id: v}}, [(t, list, id, v, gone)], [page as the history has it]
        self.versions = {}
        self.page, self.page_ms, self.failing = 8, 0, 0.0  # items of a page, how long it takes, and how many of them fail
        self.rng = random.Random(seed)
        witness.routes["source"] = self._serve

    # ---- changes
    def _change(self, name, ident, gone):
        with self.lock:
            items = self.items.setdefault(name, {})
            if gone and ident not in items:
                return
            version = self.versions[name] = self.versions.get(name, 0) + 1
            if gone:
                del items[ident]
            else:
                items[ident] = version
            self.log.append((time.monotonic(), name, ident, version, gone))

    def put(self, name, *idents):
        """These items are new, or different from now on."""
        for ident in idents:
            self._change(name, ident, False)

    def remove(self, name, *idents):
        for ident in idents:
            self._change(name, ident, True)

    def now(self, name):
        """{id: v}"""
        with self.lock:
            return dict(self.items.get(name, {}))

    # ---- pages
    def _list(self, name, at):
        items = self.items.get(name, {})
        ids = sorted(i for i in items if i > at)
        page = [{"id": i, "v": items[i], "text": text_of(i, items[i])} for i in ids[:self.page]]
        return page, page[-1]["id"] if len(ids) > self.page else None, len(ids) <= self.page

    def _changes(self, name, at):
        latest = {ident: (version, gone) for _, n, ident, version, gone in self.log if n == name and version > int(at)}
        order = sorted(latest.items(), key=lambda entry: entry[1])
        page = [{"id": i, "v": v, "gone": True} if gone else {"id": i, "v": v, "text": text_of(i, v)} for i, (v, gone) in order[:self.page]]
        return page, page[-1]["v"] if page else int(at), len(order) <= self.page

    def _serve(self, call):
        _, name, how = call.path.strip("/").split("/")
        at, status, to, last, body = call.query.get("at", ""), 500, None, False, {"message": "by chance"}
        with self.lock:
            if self.rng.random() >= self.failing:
                status = 200
                items, to, last = {"list": self._list, "changes": self._changes}[how](name, at)
                body = {"items": items, "to": to, "last": last}
            page = {"list": name, **{key: call.query.get(key, "") for key in ("sync", "job", "run", "version")}, "began": call.began,
                    "ended": 0.0, "at": at, "to": "" if to is None else str(to), "last": last, "status": status}
            self.pages.append(page)
        time.sleep(self.page_ms / 1000)
        page["ended"] = time.monotonic()
        return status, {}, json.dumps(body).encode()

    def seen(self, name, sync):
        """Pages of one sync so far."""
        with self.lock:
            return [page for page in self.pages if page["list"] == name and page["sync"] == sync]

    def record(self, history):
        """Changes and pages, as events of a history."""
        with self.lock:
            log, pages = list(self.log), [dict(page) for page in self.pages]
        for at, name, ident, version, gone in log:
            history.write("item", list=name, id=ident, v=version, gone=gone, at=at)
        for page in pages:
            history.write("page", **page)


_ASK = ("const run = require('crypto').randomUUID();"
        "const page = async (how, sync, at) => (await nango.get({ endpoint: '/source/' + nango.connectionId + '/' + how, retries: 0,"
        " params: { sync, at: String(at), run, job: nango.activityLogId, version: 'VERSION' } })).data;")
# The checkpoint goes before the window closes: a run that is cut between the two lists once more, under the window that is open.
LISTING = _ASK + """
    const saved = await nango.getCheckpoint();
    let at = saved ? saved.at : '';
    await nango.trackDeletesStart('Listed');
    for (;;) {
        const { items, to } = await page('list', 'listing', at);
        await nango.batchSave(items, 'Listed');
        if (to === null) break;
        at = to;
        await nango.saveCheckpoint({ at });
    }
    await nango.clearCheckpoint();
    await nango.trackDeletesEnd('Listed');
"""
CHANGES = _ASK + """
    const saved = await nango.getCheckpoint();
    let at = saved ? saved.at : 0;
    for (;;) {
        const { items, to, last } = await page('changes', 'changes', at);
        await nango.batchSave(items.filter((item) => !item.gone), 'Changed');
        await nango.batchDelete(items.filter((item) => item.gone), 'Changed');
        if (to !== at) await nango.saveCheckpoint({ at: to });
        at = to;
        if (last) break;
    }
"""
MODELS = {"listing": "Listed", "changes": "Changed"}


def source_flows(version="1", **more):
    """The two syncs; each page tells the version that asks."""
    return [flows.sync(name, code.replace("VERSION", version), models=(MODELS[name],), version=f"{version}.0.0", **more)
            for name, code in (("listing", LISTING), ("changes", CHANGES))]
