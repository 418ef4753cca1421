-- Takes what a request may use from all its subjects, or from none. Everything happens at once: Redis runs one script at
-- a time. KEYS are the subjects; ARGV[1] says, in JSON, which request it is, and for each subject its limits and what is
-- needed under each. Answers with the time in milliseconds or with the limit that has no room, and with what is left.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local asked = cjson.decode(ARGV[1])
local worst, rooms = nil, {}

local function note(subject, what, index, wait)
    if worst == nil or (wait < 0 and worst[5] >= 0) or (worst[5] >= 0 and wait > worst[5]) then
        worst = {'full', subject - 1, what, index - 1, wait}
    end
end

-- Requests whose gateway has not been heard of for too long hold nothing any more. A lease that is longer than any is left
-- by a clock that was ahead, and begins again.
local function forget(base)
    local longest = now + asked.lease
    for _, entry in ipairs(redis.call('ZRANGEBYSCORE', base .. ':held', '(' .. longest, '+inf')) do
        redis.call('ZADD', base .. ':held', longest, entry)
    end
    for _, entry in ipairs(redis.call('ZRANGEBYSCORE', base .. ':held', '-inf', now)) do
        redis.call('HINCRBY', base, 'reserved', -tonumber(string.match(entry, '|(%d+)$')))
        redis.call('ZREM', base .. ':held', entry)
    end
end

-- What counts in a window, oldest slot first; slots are as in a gateway's own windows. Slots of the future, left by a clock
-- that was ahead, count from now.
local function window(base, rate)
    local name, length = base .. ':' .. rate.name, rate.span / 60
    local present, used, slots = math.floor(now / length), 0, {}
    local all = redis.call('HGETALL', name)
    for at = 1, #all, 2 do
        local number, count = tonumber(all[at]), tonumber(all[at + 1])
        if number > present or number + 60 < present then redis.call('HDEL', name, all[at]) end
        if number > present then
            redis.call('HINCRBY', name, present, count)
            number = present
        end
        if number + 60 >= present then
            used = used + count
            slots[#slots + 1] = {over = (number + 61) * length, count = count}
        end
    end
    table.sort(slots, function(a, b) return a.over < b.over end)
    return used, slots
end

local function check_rates(subject, base, rates)
    for index, rate in ipairs(rates) do
        local used, slots = window(base, rate)
        local reset = math.floor(now / (rate.span / 60) + 61) * (rate.span / 60) - now
        rooms[#rooms + 1] = {rate.limit - used, rate.take, reset}
        if rate.needed > rate.limit then
            note(subject, 'rate', index, -1)
        elseif used + rate.needed > rate.limit then
            local wait = 0
            for _, slot in ipairs(slots) do
                if used + rate.needed <= rate.limit then break end
                used, wait = used - slot.count, slot.over - now
            end
            note(subject, 'rate', index, wait)
        end
    end
end

local function spent(base, budget)
    local number = tonumber(redis.call('HGET', base, budget.name .. ':number') or budget.number)
    if budget.number > number or budget.number < number - 1 then
        if budget.number > number then redis.call('HSET', base, budget.name, 0) end
        number = budget.number
    end
    redis.call('HSET', base, budget.name .. ':number', number)
    return tonumber(redis.call('HGET', base, budget.name) or 0)
end

local function check_budgets(subject, base, budgets)
    local reserved = tonumber(redis.call('HGET', base, 'reserved') or 0)
    for index, budget in ipairs(budgets) do
        local gone = spent(base, budget)
        if gone + reserved + budget.needed > budget.limit or gone + reserved >= budget.limit then
            local held = gone + budget.needed <= budget.limit and gone < budget.limit
            note(subject, 'budget', index, held and 1000 or budget.wait)
        end
    end
end

for subject, one in ipairs(asked.subjects) do
    local base = KEYS[subject]
    forget(base)
    if one.concurrent and redis.call('ZCARD', base .. ':held') >= one.concurrent then
        note(subject, 'concurrency', 1, 1000)
    end
    check_rates(subject, base, one.rates)
    check_budgets(subject, base, one.budgets)
end
-- What is left of each rate and when all of it is there again, behind an answer.
local function with_rooms(answer, taken)
    for _, room in ipairs(rooms) do
        answer[#answer + 1] = math.max(room[1] - (taken and room[2] or 0), 0)
        answer[#answer + 1] = room[3]
    end
    return answer
end

if worst then return with_rooms(worst, false) end

for subject, one in ipairs(asked.subjects) do
    local base = KEYS[subject]
    redis.call('ZADD', base .. ':held', now + asked.lease, asked.id .. '|' .. one.cost)
    redis.call('HINCRBY', base, 'reserved', one.cost)
    for _, rate in ipairs(one.rates) do
        local name = base .. ':' .. rate.name
        redis.call('HINCRBY', name, math.floor(now / (rate.span / 60)), rate.take)
        redis.call('PEXPIRE', name, rate.span * 2)
    end
end
return with_rooms({'taken', now}, true)
