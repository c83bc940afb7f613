-- runs - is this job in a worker's hands, as the next or the running one of its turn?
--
-- KEYS: epoch (or build), slots (hash: key -> see exchange.lua), held (hash: slot's name -> holder).
-- ARGV: epoch, list prefix, key, seq.
-- Returns 1 or 0, or -1 when the epoch differs.
--
-- Reads only.  A worker runs the oldest entry of a key that it holds plainly, and the first one of a
-- slot.  Caller: queue_runs() in queue/overview.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local prefix, key, wanted = ARGV[2], ARGV[3], tonumber(ARGV[4])

local function first(lane, name)
	local entry = redis.pcall('LINDEX', prefix .. lane .. ':' .. name, 0)
	return type(entry) == 'string' and tonumber(string.sub(entry, 1, 12)) or math.huge
end

if string.byte(redis.call('HGET', KEYS[3], key) or '-') == 43 then
	return math.min(first('q', key), first('f', key)) == wanted and 1 or 0
end
local held = string.match(redis.call('HGET', KEYS[2], key) or ':', '^([%d,]*):') or ''
for slot in string.gmatch(held, '%d+') do
	if first('s', slot == '0' and key or key .. '.' .. slot) == wanted then
		return 1
	end
end
return 0
