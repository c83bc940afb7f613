-- depth - counts the entries of an environment anew, and mends its depth.
--
-- KEYS: epoch (or build), depths (hash: environment -> entries in its lists), slots (hash: key ->
--   see exchange.lua).  ARGV: epoch, list prefix, environment.
-- Returns the entries, or -1 when the epoch differs; then nothing is written.
--
-- push and exchange keep count; a list that somebody removed or replaced is found here.  Keys
-- without entries are forgotten (a push enters them again).  With more keys than KEYS_MAX the count
-- that was kept is the answer: the server must not stand still for this.
-- Repeatable.  Callers: ready_environment_depth() in queue/ready.c, and after a list was put aside.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local KEYS_MAX = 2000
local prefix, members = ARGV[2], ARGV[2] .. 'env:' .. ARGV[3]

local function length(lane, name)
	local len = redis.pcall('LLEN', prefix .. lane .. ':' .. name)
	return type(len) == 'number' and len or 0
end

if redis.call('SCARD', members) > KEYS_MAX then
	return tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or 0)
end
local total, empty = 0, {}
for _, key in ipairs(redis.call('SMEMBERS', members)) do
	local entries = length('q', key) + length('f', key)
	for slot in string.gmatch(redis.call('HGET', KEYS[3], key) or '', '%d+') do
		entries = entries + length('s', slot == '0' and key or key .. '.' .. slot)
	end
	total = total + entries
	if entries == 0 then
		empty[#empty + 1] = key
	end
end
if #empty > 0 then
	redis.call('SREM', members, unpack(empty))
end
if total > 0 then
	redis.call('HSET', KEYS[2], ARGV[3], total)
else
	redis.call('HDEL', KEYS[2], ARGV[3])
end
return total
