"""What must hold after any fault, read from the ledger's tables and from what the provider saw.

Jobs are told apart by the query parameter n of their calls; jobs of one key call one path."""
from rig import RigError

STATES = {"1": "succeeded", "2": "failed", "5": "worker_lost"}


def ended(rig, jobs):
    """{job: state} once each of jobs has its one result."""
    rows = rig.postgres.query("SELECT job_id, state FROM result WHERE job_id = ANY ('{%s}')" % ",".join(jobs))
    return {job: STATES.get(state, state) for job, state in rows}


def check(rig, jobs, path, retries=0, exact=False):
    """jobs: {n: id}, all of one key, n in the order accepted.  exact: no fault may have cost a start or the order."""
    states = ended(rig, jobs.values())
    missing = [n for n, job in jobs.items() if job not in states]
    if missing:
        raise RigError(f"{len(missing)} jobs have no result: {missing[:10]}")
    wanted = {str(n) for n in jobs}
    calls = sorted((c for c in rig.witness.seen(path) if c.query["n"] in wanted), key=lambda c: c.began)
    starts = {}
    for call in calls:
        starts[call.query["n"]] = starts.get(call.query["n"], 0) + 1
    many = {n: count for n, count in starts.items() if count > (1 if exact else retries + 1)}
    if many:
        raise RigError(f"started too often: {many}")
    unseen = [n for n, job in jobs.items() if states[job] == "succeeded" and str(n) not in starts]
    if unseen:
        raise RigError(f"succeeded without a start: {unseen}")
    overlaps = [(a.query["n"], b.query["n"]) for a, b in zip(calls, calls[1:]) if b.began < a.ended]
    if overlaps:
        raise RigError(f"two of one key at once: {overlaps}")
    rows = rig.postgres.query("SELECT job_id, count(*), max(number) FROM attempt WHERE job_id = ANY ('{%s}') GROUP BY 1"
                              % ",".join(jobs.values()))
    over = [row for row in rows if int(row[1]) > retries + 1 or int(row[2]) > retries + 1]
    if over:
        raise RigError(f"more attempts than allowed: {over}")
    if exact and [c.query["n"] for c in calls] != [str(n) for n in jobs]:
        raise RigError(f"out of order: {[c.query['n'] for c in calls]}")
    return states
