-- missing - which of these jobs of a key are in none of its lists?
--
-- KEYS: epoch (or build), slots (hash: key -> see exchange.lua), held (hash), ready (zset: key by
--   turn), turn (counter), wake (list), limits (hash: key -> slots; 0: paused).
-- ARGV: epoch, list prefix, key, then seqs in 12 digits.
-- Returns {one character per seq: '1' missing, '0' there; what was mended}, or {-1} when the epoch
--   differs.
--
-- Mends: a list that would expire stays, a key with jobs that nobody holds and that is not in line
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
local lists = {prefix .. 'q:' .. key, prefix .. 'f:' .. key}
for slot in string.gmatch(redis.call('HGET', KEYS[2], key) or '', '%d+') do
	lists[#lists + 1] = prefix .. 's:' .. (slot == '0' and key or key .. '.' .. slot)
end

local function seq(envelope)
	return tonumber(string.sub(envelope, 1, 12)) or 0
end

local found = {} -- seq -> true, of everything read so far

local function read(list, from, to)
	for _, envelope in ipairs(redis.call('LRANGE', list, from, to)) do
		found[seq(envelope)] = true
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

local total, mended = 0, 0
for _, list in ipairs(lists) do
	local length = redis.pcall('LLEN', list)
	if type(length) == 'table' then
		length = 0
	end
	total = total + length
	if length > 0 then
		mended = mended + redis.call('PERSIST', list)
	end
	if length <= WHOLE then
		for from = 0, length - 1, STEP do
			read(list, from, from + STEP - 1)
		end
	else
		for i = 4, #ARGV do
			local wanted = tonumber(ARGV[i])
			if not found[wanted] then -- else: in the window of an earlier one
				local at = place(list, length, wanted)
				read(list, math.max(at - WINDOW, 0), at + WINDOW)
			end
		end
	end
end

-- Slots that are held line their key up when they are handed in; a plain holder does, too.
local held = redis.call('HGET', KEYS[3], key) or '-'
local slots = redis.call('HGET', KEYS[2], key) or ':'
if total > 0 and string.byte(held) == 45 and not string.find(slots, '^%d')
	and not redis.call('ZSCORE', KEYS[4], key) and redis.call('HGET', KEYS[7], key) ~= '0' then
	redis.call('ZADD', KEYS[4], redis.call('INCR', KEYS[5]), key)
	if redis.call('LLEN', KEYS[6]) == 0 then
		redis.call('RPUSH', KEYS[6], '1')
	end
	mended = mended + 1
end

local answer = {}
for i = 4, #ARGV do
	answer[i - 3] = found[tonumber(ARGV[i])] and '0' or '1'
end
return {table.concat(answer), mended}
