-- position - how many entries of a key stand before a job, and how many there are.
--
-- KEYS: epoch (or build), slots (hash: key -> see exchange.lua).  ARGV: epoch, list prefix, key,
--   seq in 12 digits.
-- Returns {length of the lists, entries with a lower seq or -1 when the job is in no list}, or {-1}
--   when the epoch differs.
--
-- Reads only.  Lists up to 4,096 entries are read whole, longer ones searched by halves (they are
-- in ledger order but for pushes that overtook each other), with a window around the place.
-- A list of another type holds nothing.  Caller: ready_position() in queue/ready.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local WHOLE, STEP, WINDOW = 4096, 256, 128
local prefix, key, wanted = ARGV[2], ARGV[3], tonumber(ARGV[4])
local lists = {prefix .. 'q:' .. key, prefix .. 'f:' .. key}
for slot in string.gmatch(redis.call('HGET', KEYS[2], key) or '', '%d+') do
	lists[#lists + 1] = prefix .. 's:' .. (slot == '0' and key or key .. '.' .. slot)
end
local total, before, found = 0, 0, false

local function seq(envelope)
	return tonumber(string.sub(envelope, 1, 12)) or 0
end

-- Counts the entries from..to of list that are older than the job.
local function count(list, from, to)
	for _, envelope in ipairs(redis.call('LRANGE', list, from, to)) do
		local here = seq(envelope)
		if here < wanted then
			before = before + 1
		elseif here == wanted then
			found = true
		end
	end
end

-- Index of the first entry of list that is not older than the job.
local function place(list, length)
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

for _, list in ipairs(lists) do
	local length = redis.pcall('LLEN', list)
	if type(length) == 'table' then
		length = 0
	end
	total = total + length
	if length <= WHOLE then
		for from = 0, length - 1, STEP do
			count(list, from, from + STEP - 1)
		end
	else
		local from = math.max(place(list, length) - WINDOW, 0)
		before = before + from
		count(list, from, from + 2 * WINDOW)
	end
end
return {total, found and before or -1}
