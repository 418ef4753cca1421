-- Says that requests are running still: ARGV[1] is how long the next such word may take, the others are their entries.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for index, base in ipairs(KEYS) do
    redis.call('ZADD', base .. ':held', 'XX', now + ARGV[1], ARGV[index + 1])
end
return 0
