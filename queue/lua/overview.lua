-- overview - how much waits in the lists of environments, and for how long.
--
-- KEYS: epoch (or build), depths (hash: environment -> entries in its lists), slots and held
--   (hashes: see exchange.lua), fronts (set: keys whose lane f may have entries), long (set).
-- ARGV: epoch, list prefix, lines that may be looked at, then the environments; none: all that have
--   entries.
-- Returns, per environment: itself, its depth as kept, how many lines (keys) it has, and a flat
--   array, per line looked at: key, how many of its slots are held, then of lanes q, f and s the
--   entries and the age in ms of the oldest that waits (-1: none waits).  {-1} on another epoch.
--
-- Reads only, and only the ends of lists: its cost is that of the lines, whatever stands in them.
-- The environments share the lines that may be looked at; one with more than its share answers for
-- some of them, picked by chance.  An entry's age is from its accepted time, as its envelope
-- (base/envelope.h) has it; one that cannot be read has none.  What a plain holder runs is taken to
-- be the oldest entry of its key.  Caller: queue_overview() in queue/overview.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local HEAD, BODY, FIELDS = '\156\1\196\16', 32, 9 -- behind the digits; what follows the job's id
local SLOTS_MAX = 16
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local prefix, left = ARGV[2], tonumber(ARGV[3])

local environments = {}
for i = 4, #ARGV do
	environments[#environments + 1] = ARGV[i]
end
if #environments == 0 then
	environments = redis.call('HKEYS', KEYS[2])
end

local function age(envelope)
	if string.sub(envelope, 13, 16) ~= HEAD then
		return -1
	end
	local fine, _, _, _, _, _, _, _, _, _, accepted = pcall(cmsgpack.unpack_limit, envelope, FIELDS, BODY)
	accepted = fine and tonumber(accepted) -- the last of them; an offset comes first
	return accepted and math.max(now - accepted, 0) or -1
end

local function length(list)
	local len = redis.pcall('LLEN', list)
	return type(len) == 'number' and len or 0
end

-- The entry at a place of a list; nil: there is none.
local function at(list, place)
	local entry = redis.pcall('LINDEX', list, place)
	return type(entry) == 'string' and entry or nil
end

local function seq(entry)
	return entry and tonumber(string.sub(entry, 1, 12)) or math.huge
end

-- Of lists of slots: entries, and the age of the oldest that waits.  A slot of a long key has one.
local function slots_of(key, slots, held, long)
	local entries, oldest, count = 0, -1, 0
	for slot in string.gmatch(slots, '%d+') do
		count = count + 1
		if count > SLOTS_MAX and long then
			entries = entries + 1
		elseif count <= SLOTS_MAX then
			local list = prefix .. 's:' .. (slot == '0' and key or key .. '.' .. slot)
			local entry = at(list, held)
			entries = entries + length(list)
			oldest = math.max(oldest, entry and age(entry) or -1)
		end
	end
	return entries, oldest, count
end

-- Appends what is told of a line; front: its lane f may have entries; long: its jobs are long.
local function line(lines, key, holder, slots, front, long)
	local queue, late = prefix .. 'q:' .. key, prefix .. 'f:' .. key
	local entries, first = length(queue), at(queue, 0)
	local more, other = front and length(late) or 0, front and at(late, 0) or nil
	local running, own, oldest = 0, 0, -1
	if holder and string.byte(holder) == 43 then
		running = 1
		if seq(first) < seq(other) then
			first = at(queue, 1)
		else
			other = other and at(late, 1)
		end
	end
	if slots then
		local busy, free = string.match(slots, '^([%d,]*):([%d,]*)$')
		local left, waits
		own, oldest, running = slots_of(key, busy or '', 1, long)
		left, waits = slots_of(key, free or '', 0, long)
		own, oldest = own + left, math.max(oldest, waits)
	end
	local n = #lines
	lines[n + 1], lines[n + 2] = tonumber(key), running
	lines[n + 3], lines[n + 4] = entries, first and age(first) or -1
	lines[n + 5], lines[n + 6] = more, other and age(other) or -1
	lines[n + 7], lines[n + 8] = own, oldest
end

local any_front = redis.call('EXISTS', KEYS[5]) == 1
local any_long = redis.call('EXISTS', KEYS[6]) == 1
local answer = {}
for i, environment in ipairs(environments) do
	local members = prefix .. 'env:' .. environment
	local share = math.max(math.floor(left / (#environments - i + 1)), 1)
	local lines, keys = {}, left > 0 and redis.call('SRANDMEMBER', members, share) or {}
	left = left - #keys
	if #keys > 0 then
		local held = redis.call('HMGET', KEYS[4], unpack(keys))
		local slots = redis.call('HMGET', KEYS[3], unpack(keys))
		local fronts = any_front and redis.call('SMISMEMBER', KEYS[5], unpack(keys)) or {}
		local long = any_long and redis.call('SMISMEMBER', KEYS[6], unpack(keys)) or {}
		for k, key in ipairs(keys) do
			line(lines, key, held[k], slots[k], fronts[k] == 1, long[k] == 1)
		end
	end
	local n = #answer
	answer[n + 1] = tonumber(environment)
	answer[n + 2] = tonumber(redis.call('HGET', KEYS[2], environment) or 0)
	answer[n + 3] = redis.call('SCARD', members)
	answer[n + 4] = lines
end
return answer
