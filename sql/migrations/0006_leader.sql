-- 0006_leader: the beat of the active scheduler, so that one that is frozen can be told from one that works.
-- Locks:  none but on the new table.  Online: yes, adds only; an earlier release leads without a beat and
--         is deposed by a later one after a ttl.
SET LOCAL lock_timeout = '2s';

CREATE TABLE leader (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    beat     bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 20);
INSERT INTO leader DEFAULT VALUES;
