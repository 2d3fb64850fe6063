//! Rates that are counted in Redis, for all processes of the shop, by the server's clock. A caller's number expires
//! when all is given back.

use std::time::Duration;

use ::redis::Script;
use async_trait::async_trait;

use super::{Redis, new_epoch, unreachable};
use crate::port::Error;
use crate::rates::{Rate, Rates, Taken};

/// As [`take`](crate::rates::take) does it: the same numbers, in microseconds.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local step, full = tonumber(ARGV[1]), ARGV[1] * ARGV[2]
local before = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now), now + full)
local after = before + step
if after > now + full then
  return {0, math.floor((now + full - before) / step), before - now, after - full - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((now + full - after) / step), after - now, 0}
";

/// Rates in Redis, with a connection of their own.
pub(crate) struct InRedis {
    redis: Redis,
    take: Script,
}

impl InRedis {
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        Ok(Self { redis: Redis::new(url)?, take: Script::new(TAKE) })
    }

    /// `rested`: also while the server is left alone after a failure.
    async fn taken(&self, caller: &str, rate: Rate, rested: bool) -> Result<Taken, Error> {
        let mut call = self.take.key(format!("{}rate:{caller}", self.redis.prefix));
        call.arg(rate.step()).arg(rate.count());
        let asked = |mut manager| async move { call.invoke_async(&mut manager).await };
        let (allowed, left, full, retry): (bool, u32, u64, u64) = self.redis.run(rested, asked).await?;
        let (full_after, retry_after) = (Duration::from_micros(full), Duration::from_micros(retry));
        Ok(Taken { allowed, left, full_after, retry_after })
    }
}

#[async_trait]
impl Rates for InRedis {
    fn backend(&self) -> &'static str {
        "redis"
    }

    async fn take(&self, caller: &str, rate: Rate) -> Result<Taken, Error> {
        self.taken(caller, rate, false).await
    }

    async fn examine(&self) -> Result<(), Error> {
        let once = Rate::new(1, Duration::from_secs(1)).map_err(unreachable)?;
        let taken = self.taken(&format!("health:{}", new_epoch()), once, true).await?;
        if taken.allowed { Ok(()) } else { Err(unreachable("a caller who was never here was at its limit")) }
    }
}
