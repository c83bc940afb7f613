-- missing - which of these jobs of a key are in none of its lists?
--
-- KEYS: epoch (or build), slots (hash: key -> see exchange.lua), held (hash), ready (zset: key by
--   turn), turn (counter), wake (list), limits (hash: key -> slots; 0: paused), long (set), long_ready
--   (zset), long_wake (list; all three: see exchange.lua).
-- ARGV: epoch, list prefix, key, then seqs in 12 digits.
-- Returns {one character per seq: '1' missing, '0' there, '2' there and, of a key with slots, in the
--   hands of nobody; what was mended}, or {-1} when the epoch differs.
--
-- Mends: a list that would expire stays, a key with jobs that it may start and that is not in line
-- is lined up unless it is paused.  Else it reads only.  Lists up to 4,096 entries are read whole.  Longer ones are
-- searched by halves: they are in ledger order but for pushes that overtook each other, so a window
-- around the place decides.  An entry further off counts as missing: pushed twice, it is refused by
-- the ledger.  A list of another type holds nothing (push and exchange put it aside).
-- Caller: ready_missing() in queue/ready.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local WHOLE, STEP, WINDOW = 4096, 256, 128
local prefix, key = ARGV[2], ARGV[3]
local slots = redis.call('HGET', KEYS[2], key) or ':'
local held_slots, free_slots = string.match(slots, '^([%d,]*):([%d,]*)$')
local lists, busy = {}, 0 -- first those of slots that are held
for slot in string.gmatch(held_slots or '', '%d+') do
	lists[#lists + 1] = prefix .. 's:' .. (slot == '0' and key or key .. '.' .. slot)
	busy = busy + 1
end
lists[#lists + 1], lists[#lists + 2] = prefix .. 'q:' .. key, prefix .. 'f:' .. key
for slot in string.gmatch(free_slots or '', '%d+') do
	lists[#lists + 1] = prefix .. 's:' .. (slot == '0' and key or key .. '.' .. slot)
end

local function seq(envelope)
	return tonumber(string.sub(envelope, 1, 12)) or 0
end

local found = {} -- seq -> '0' or '2', of everything read so far

local function read(list, from, to, mark)
	for _, envelope in ipairs(redis.call('LRANGE', list, from, to)) do
		local here = seq(envelope)
		found[here] = found[here] or mark
	end
end

-- Index of the first entry of list that is not older than wanted.
local function place(list, length, wanted)
	local low, high = 0, length
	while low < high do
		local middle = math.floor((low + high) / 2)
		if seq(redis.call('LINDEX', list, middle)) < wanted then
			low = middle + 1
		else
			high = middle
		end
	end
	return low
end

-- Slots that are held line their key up when they are handed in, if it can start no more than them now; a
-- plain holder does in any case.
local holder = redis.call('HGET', KEYS[3], key) or '-'
local limit = tonumber(redis.call('HGET', KEYS[7], key) or 1)
local long = redis.call('SISMEMBER', KEYS[8], key) == 1
local has_slots = (long or limit > 1) and string.byte(holder) ~= 43
local free = has_slots and busy < limit or string.byte(holder) == 45 and busy == 0

local waiting, mended = 0, 0
for i, list in ipairs(lists) do
	local mark = i > busy and has_slots and '2' or '0'
	local length = redis.pcall('LLEN', list)
	if type(length) == 'table' then
		length = 0
	end
	waiting = waiting + (i > busy and length or 0)
	if length > 0 then
		mended = mended + redis.call('PERSIST', list)
	end
	if length <= WHOLE then
		for from = 0, length - 1, STEP do
			read(list, from, from + STEP - 1, mark)
		end
	else
		for i = 4, #ARGV do
			local wanted = tonumber(ARGV[i])
			if not found[wanted] then -- else: in the window of an earlier one
				local at = place(list, length, wanted)
				read(list, math.max(at - WINDOW, 0), at + WINDOW, mark)
			end
		end
	end
end

local line, token, class = KEYS[4], KEYS[6], 0
if long then
	line, token, class = KEYS[9], KEYS[10], busy * 2 ^ 40
end
if waiting > 0 and free and limit > 0 and not redis.call('ZSCORE', line, key) then
	redis.call('ZADD', line, class + redis.call('INCR', KEYS[5]), key)
	if redis.call('LLEN', token) == 0 then
		redis.call('RPUSH', token, '1')
	end
	mended = mended + 1
end

local answer = {}
for i = 4, #ARGV do
	answer[i - 3] = found[tonumber(ARGV[i])] or '1'
end
return {table.concat(answer), mended}
