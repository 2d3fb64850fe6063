//! The settings of the rates of callers.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use soonshop_cache::Rates;
use soonshop_service_kit::rates::{DEFAULTS, Limits, Network, Proxies, Setting};

/// How often a caller may do something, and whose word about an address counts.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RateOptions {
    /// How often one caller may do something: so many in a time for each class, or off. Classes that are not named keep
    /// their default
    #[arg(long = "rate", env = "SOONSHOP_RATE", value_name = "CLASS=COUNT/TIME", value_delimiter = ',',
          default_value = DEFAULTS, global = true)]
    pub rates: Vec<Setting>,
    /// The proxy that clients reach the shop by, or a network of proxies. It is believed what it reports on callers: the
    /// address in Forwarded or X-Forwarded-For, and whether it speaks TLS in Forwarded or X-Forwarded-Proto
    #[arg(
        long = "behind-proxy",
        env = "SOONSHOP_BEHIND_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ',',
        global = true
    )]
    pub behind_proxies: Vec<Network>,
    /// The earlier name of --behind-proxy
    #[arg(
        long = "trusted-proxy",
        env = "SOONSHOP_TRUSTED_PROXY",
        value_name = "ADDRESS",
        value_delimiter = ',',
        global = true,
        hide = true
    )]
    pub trusted_proxies: Vec<Network>,
}

impl RateOptions {
    /// Nobody is counted.
    pub fn off() -> Self {
        Self { rates: vec![Setting::Off], ..Self::default() }
    }

    /// The proxies that are trusted to report on callers.
    pub(crate) fn proxies(&self) -> Proxies {
        [self.behind_proxies.as_slice(), &self.trusted_proxies].concat().into()
    }

    /// The limits of a process, whose counters are in its metrics.
    pub(crate) fn limits(&self, shared: &Arc<dyn Rates>, metrics: &mut Registry) -> Arc<Limits> {
        let limits = Limits::new(&self.rates, self.proxies(), Arc::clone(shared));
        limits.register(metrics);
        Arc::new(limits)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        rates: RateOptions,
    }

    fn parsed(flags: &[&str]) -> Result<(Vec<String>, Vec<String>), String> {
        let cli = Cli::try_parse_from([&["soonshop"], flags].concat()).map_err(|error| error.to_string())?;
        let proxies = [cli.rates.behind_proxies.as_slice(), &cli.rates.trusted_proxies].concat();
        let rates = cli.rates.rates.iter().map(ToString::to_string).collect();
        Ok((rates, proxies.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn settings_are_repeated_or_have_commas_between_them_and_a_wrong_one_is_refused_with_a_sentence() {
        let (rates, proxies) = parsed(&[]).unwrap();
        assert_eq!((rates.join(",").as_str(), proxies.len()), (DEFAULTS, 0));
        let flags =
            ["--rate", "writes=7/1m,reads=off", "--rate", "searches=2/1h", "--behind-proxy", "10.0.0.1,::1"];
        let (rates, proxies) = parsed(&flags).unwrap();
        assert_eq!(rates, ["writes=7/60s", "reads=off", "searches=2/3600s"]);
        assert_eq!(proxies, ["10.0.0.1/32", "::1/128"]);
        assert!(parsed(&["--rate", "writes"]).unwrap_err().contains("a rate is like writes=600/60s"));
        for name in ["--behind-proxy", "--trusted-proxy"] {
            assert!(parsed(&[name, "proxy"]).unwrap_err().contains("such as 10.0.0.7"));
        }
    }

    #[test]
    fn a_proxy_may_have_its_earlier_name() {
        let (_, proxies) = parsed(&["--behind-proxy", "10.0.0.1", "--trusted-proxy", "fd00::/8"]).unwrap();
        assert_eq!(proxies, ["10.0.0.1/32", "fd00::/8"]);
        let options = RateOptions { behind_proxies: vec!["::1".parse().unwrap()], ..RateOptions::off() };
        assert!(options.proxies().trusts("::1".parse().unwrap()));
    }
}
