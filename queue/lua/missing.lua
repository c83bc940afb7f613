-- missing - which of these jobs of a key are in neither of its lists?
--
-- KEYS: epoch (or build), then the key's lists.  ARGV: epoch, then seqs in 12 digits.
-- Returns {one character per seq: '1' missing, '0' there}, or {-1} when the epoch differs.
--
-- Reads only.  Lists up to 4,096 entries are read whole.  Longer ones are searched by halves: they
-- are in ledger order but for pushes that overtook each other, so a window around the place
-- decides.  An entry further off counts as missing: pushed twice, it is refused by the ledger.
-- A list of another type holds nothing (push and exchange put it aside).
-- Caller: ready_missing() in queue/ready.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local WHOLE, STEP, WINDOW = 4096, 256, 128

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

for k = 2, #KEYS do
	local length = redis.pcall('LLEN', KEYS[k])
	if type(length) == 'table' then
		length = 0
	end
	if length <= WHOLE then
		for from = 0, length - 1, STEP do
			read(KEYS[k], from, from + STEP - 1)
		end
	else
		for i = 2, #ARGV do
			local wanted = tonumber(ARGV[i])
			if not found[wanted] then -- else: in the window of an earlier one
				local at = place(KEYS[k], length, wanted)
				read(KEYS[k], math.max(at - WINDOW, 0), at + WINDOW)
			end
		end
	end
end

local answer = {}
for i = 2, #ARGV do
	answer[i - 1] = found[tonumber(ARGV[i])] and '0' or '1'
end
return {table.concat(answer)}
