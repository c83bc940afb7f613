-- 0015_sync_state: who may write for a run.
-- Locks:  none.  Online: yes, adds only; an earlier release asks for a live session only.
SET LOCAL lock_timeout = '2s';

-- Ends the transaction (SL409) unless the caller writes for the try that a job is at: under a live session,
-- the newest try that was begun, of a job without a result, and, if newest is asked, the newest run of its
-- sync.  What is 0 or null is not asked.
--
-- It stays so until the commit.  The locks keep out whoever would change it: the end of a session and a cancel
-- (session), the claim of the sync's next run (sync), the end of a try (attempt).  Each look is a statement
-- of its own, so that it sees what was committed while a lock was waited for.  The connection comes before
-- the sync, as in a delete that takes its syncs along.
CREATE FUNCTION fence(session bigint, job uuid, number bigint, sync bigint, newest boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found_job uuid;
BEGIN
    IF fence.session <> 0 THEN
        PERFORM FROM session s WHERE s.id = fence.session AND s.live FOR SHARE;
        PERFORM require(FOUND, 'SL409', 'the session has ended');
    END IF;
    IF fence.sync <> 0 THEN
        PERFORM FROM connection c WHERE c.id = (SELECT y.connection_id FROM sync y WHERE y.id = fence.sync) FOR KEY SHARE;
        IF fence.newest THEN
            SELECT y.job_id INTO found_job FROM sync y WHERE y.id = fence.sync AND y.removed_at IS NULL FOR SHARE;
        ELSE
            PERFORM FROM sync y WHERE y.id = fence.sync AND y.removed_at IS NULL FOR KEY SHARE;
        END IF;
        PERFORM require(FOUND, 'SL404', 'there is no such sync');
        PERFORM require(NOT fence.newest OR found_job = fence.job, 'SL409', 'another run of the sync has begun');
    END IF;
    IF fence.job IS NOT NULL THEN
        PERFORM FROM attempt a WHERE a.job_id = fence.job AND a.number = fence.number AND a.session_id = fence.session
            AND a.ended_at IS NULL FOR SHARE;
        PERFORM require(FOUND, 'SL409', 'the try is not under way');
        PERFORM require((SELECT max(a.number) FROM attempt a WHERE a.job_id = fence.job) = fence.number
            AND (SELECT true FROM result r WHERE r.job_id = fence.job) IS NULL, 'SL409', 'the run has ended');
    END IF;
END $$;
