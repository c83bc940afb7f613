-- overview - how much waits in the lists of environments, and for how long.
--
-- KEYS: epoch (or build), depths (hash: environment -> entries in its lists), slots and held
--   (hashes: see exchange.lua).  ARGV: epoch, list prefix, lines that may be looked at, then the
--   environments; none: all that have entries.
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
	local fields = {pcall(cmsgpack.unpack_limit, envelope, FIELDS, BODY)}
	local accepted = fields[1] and tonumber(fields[2 + FIELDS]) -- the last of them
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

local function line(key)
	local holder = redis.call('HGET', KEYS[4], key) or '-'
	local busy, free = string.match(redis.call('HGET', KEYS[3], key) or ':', '^([%d,]*):([%d,]*)$')
	local queue, front = prefix .. 'q:' .. key, prefix .. 'f:' .. key
	local waiting = {at(queue, 0), [3] = at(front, 0)}
	local running = 0
	local own, oldest = 0, -1
	local looked = 0
	for held, slots in pairs({[1] = busy or '', [0] = free or ''}) do
		for slot in string.gmatch(slots, '%d+') do
			running = running + held
			looked = looked + 1
			if looked <= SLOTS_MAX then
				local list = prefix .. 's:' .. (slot == '0' and key or key .. '.' .. slot)
				local entry = at(list, held)
				own = own + length(list)
				oldest = math.max(oldest, entry and age(entry) or -1)
			end
		end
	end
	if string.byte(holder) == 43 then
		running = 1
		if seq(waiting[1]) < seq(waiting[3]) then
			waiting[1] = at(queue, 1)
		else
			waiting[3] = at(front, 1)
		end
	end
	return tonumber(key), running, length(queue), waiting[1] and age(waiting[1]) or -1,
		length(front), waiting[3] and age(waiting[3]) or -1, own, oldest
end

local answer = {}
for i, environment in ipairs(environments) do
	local members = prefix .. 'env:' .. environment
	local share = math.max(math.floor(left / (#environments - i + 1)), 1)
	local lines, keys = {}, left > 0 and redis.call('SRANDMEMBER', members, share) or {}
	left = left - #keys
	for _, key in ipairs(keys) do
		for _, value in ipairs({line(key)}) do
			lines[#lines + 1] = value
		end
	end
	answer[#answer + 1] = tonumber(environment)
	answer[#answer + 1] = tonumber(redis.call('HGET', KEYS[2], environment) or 0)
	answer[#answer + 1] = redis.call('SCARD', members)
	answer[#answer + 1] = lines
end
return answer
