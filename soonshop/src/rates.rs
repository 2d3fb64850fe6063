//! The settings of the rates of callers.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use soonshop_cache::Rates;
use soonshop_service_kit::rates::{DEFAULTS, Limits, Proxies, Proxy, Setting};

/// How often a caller may do something, and whose word about an address counts.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RateOptions {
    /// How often one caller may do something: so many in a time for each class, or off. Classes that are not named keep
    /// their default
    #[arg(long = "rate", env = "SOONSHOP_RATE", value_name = "CLASS=COUNT/TIME", value_delimiter = ',',
          default_value = DEFAULTS, global = true)]
    pub rates: Vec<Setting>,
    /// A proxy, or a network of them, that is trusted to report the address of a caller in Forwarded or X-Forwarded-For
    #[arg(
        long = "trusted-proxy",
        env = "SOONSHOP_TRUSTED_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ',',
        global = true
    )]
    pub trusted_proxies: Vec<Proxy>,
}

impl RateOptions {
    /// Nobody is counted.
    pub fn off() -> Self {
        Self { rates: vec![Setting::Off], trusted_proxies: Vec::new() }
    }

    /// The limits of a process, whose counters are in its metrics.
    pub(crate) fn limits(&self, shared: &Arc<dyn Rates>, metrics: &mut Registry) -> Arc<Limits> {
        let proxies = Proxies::from(self.trusted_proxies.clone());
        let limits = Limits::new(&self.rates, proxies, Arc::clone(shared));
        limits.register(metrics);
        Arc::new(limits)
    }
}
