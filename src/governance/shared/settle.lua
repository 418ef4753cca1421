-- Ends what a request has reserved and counts what it has used. May be sent again when nobody knows whether it arrived:
-- each request is settled once. Works also for a request that was never reserved here, and after everything was lost.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local done = cjson.decode(ARGV[1])
if not redis.call('SET', KEYS[1] .. ':done:' .. done.id, '1', 'NX', 'PX', done.remember) then return 0 end

for subject, one in ipairs(done.subjects) do
    local base = KEYS[subject]
    local entry = done.id .. '|' .. one.cost
    local lease = redis.call('ZSCORE', base .. ':held', entry)
    if lease then
        redis.call('ZREM', base .. ':held', entry)
        redis.call('HINCRBY', base, 'reserved', -one.cost)
    end
    -- When it was taken: as told, or as the lease says that was never renewed. Otherwise it was not taken here.
    local at = done.at or (lease and tonumber(lease) - done.lease)
    for _, rate in ipairs(one.rates) do
        local name, length = base .. ':' .. rate.name, rate.span / 60
        local slot = math.floor((at or now) / length)
        local count = tonumber(redis.call('HGET', name, slot))
        local taken = (at and count) and rate.take or 0
        if slot + 60 >= math.floor(now / length) then
            redis.call('HSET', name, slot, math.max((count or 0) - taken + rate.used, 0))
            redis.call('PEXPIRE', name, rate.span * 2)
        end
    end
    for _, budget in ipairs(one.budgets) do
        local number = tonumber(redis.call('HGET', base, budget.name .. ':number') or budget.number)
        if budget.number > number or budget.number < number - 1 then
            if budget.number > number then redis.call('HSET', base, budget.name, 0) end
            number = budget.number
        end
        redis.call('HSET', base, budget.name .. ':number', number)
        redis.call('HINCRBY', base, budget.name, one.spent)
    end
end
return 1
