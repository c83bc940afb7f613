-- sample - what stands in the lists, a bounded part of it at a time, for the metrics.
--
-- KEYS: epoch, depths (hash: environment -> entries in its lists), slots (hash: key -> 'held:left',
--   see exchange.lua), held (hash: slot's name -> holder), calls (list).
-- ARGV: epoch, list prefix, environment or '', cursor, how many environments or keys to look at.
-- Returns with environment '': {next cursor, calls that wait, then environment, its depth, ...}.
--   Else, of some of its keys: {next cursor, entries in lanes q, in lanes f, in slots, and the oldest
--   entry that waits in each of the three, '' if none}.  Cursor '0': that was all.  {-1} when the
--   epoch differs.
--
-- Of a list whose holder runs, the head is left out when the oldest is looked for: it runs, or ran a
-- few milliseconds ago.  An entry is as old as its seq says.  Something else than a list is empty.
-- Reads only.  Caller: queue/sample.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local prefix, environment = ARGV[2], ARGV[3]

if environment == '' then
	local page = redis.call('HSCAN', KEYS[2], ARGV[4], 'COUNT', ARGV[5])
	local out = {page[1], redis.call('LLEN', KEYS[5])}
	for _, word in ipairs(page[2]) do
		out[#out + 1] = word
	end
	return out
end

local count, oldest = {0, 0, 0}, {'', '', ''}

local function length(name)
	local len = redis.pcall('LLEN', prefix .. name)
	return type(len) == 'number' and len or 0
end

local function seq(entry)
	return tonumber(string.sub(entry, 1, 12)) or 0
end

local function at(name, index)
	local entry = redis.pcall('LINDEX', prefix .. name, index)
	return type(entry) == 'string' and entry or nil
end

local function waits(lane, entry)
	if entry and (oldest[lane] == '' or seq(entry) < seq(oldest[lane])) then
		oldest[lane] = entry
	end
end

local function lane_heads(key, q, f)
	local new = q > 0 and at('q:' .. key, 0) or nil
	local front = f > 0 and at('f:' .. key, 0) or nil
	-- A plain holder runs the older of the two.
	if string.byte(redis.call('HGET', KEYS[4], key) or '-') == 43 then
		if front and (not new or seq(front) <= seq(new)) then
			front = at('f:' .. key, 1)
		elseif new then
			new = at('q:' .. key, 1)
		end
	end
	waits(1, new)
	waits(2, front)
end

local function slots(key)
	local held, left = string.match(redis.call('HGET', KEYS[3], key) or '', '^([%d,]*):([%d,]*)$')
	local seen = {}
	for part, text in ipairs({held or '', left or ''}) do
		for slot in string.gmatch(text, '%d+') do
			local name = 's:' .. (slot == '0' and key or key .. '.' .. slot)
			if not seen[slot] then
				count[3] = count[3] + length(name)
				waits(3, at(name, part == 1 and 1 or 0))
			end
			seen[slot] = true
		end
	end
end

local page = redis.call('SSCAN', prefix .. 'env:' .. environment, ARGV[4], 'COUNT', ARGV[5])
for _, key in ipairs(page[2]) do
	local q, f = length('q:' .. key), length('f:' .. key)
	count[1] = count[1] + q
	count[2] = count[2] + f
	if q + f > 0 then
		lane_heads(key, q, f)
	end
	slots(key)
end
return {page[1], count[1], count[2], count[3], oldest[1], oldest[2], oldest[3]}
