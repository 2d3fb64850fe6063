//! Examines every part that the shop depends on, says what is wrong, and what to do about it.

use std::time::Duration;

use chrono::SecondsFormat;

use crate::cause::chain;
use crate::settle::with_others;
use crate::{Role, Shop, checks, erased};

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    pub what: String,
    pub ok: bool,
    pub detail: String,
    /// The remedy, if something is wrong.
    pub cure: String,
}

/// How long one look-up may take: a table may be kept locked, which its check names.
const LIMIT: Duration = Duration::from_secs(5);

/// How many stalled erasures are named.
const MOST_LISTED: usize = 5;

/// Looks at each part.
pub async fn examine(shop: &Shop) -> Vec<Finding> {
    let lines = in_time(lines_of_stock(shop));
    let guarded = in_time(replay_is_guarded(shop));
    let of_checks = async {
        let health = checks::of(shop, Role::All, None, None).map_err(|error| format!("{error:#}"))?;
        Ok::<_, String>(health.examine().await)
    };
    let followers = in_time(async { with_others(shop).await.map_err(|error| format!("{error:#}")) });
    let erasures = in_time(erasures(shop));
    let (lines, guarded, of_checks, followers, erasures) =
        tokio::join!(lines, guarded, of_checks, Box::pin(followers), Box::pin(erasures));
    let mut findings = Vec::new();
    let mut note = |what: &str, outcome: Result<String, String>, cure: &str| {
        let (ok, detail) = match outcome {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        let cure = if ok { String::new() } else { cure.to_owned() };
        findings.push(Finding { what: what.to_owned(), ok, detail, cure });
    };
    let keys = shop.key_store().map(|_| "readable".to_owned()).map_err(|error| format!("{error:#}"));
    note(
        "master key",
        keys,
        "put it back from its backup, or name it with --master-key-file; for a new shop `soonshop migrate` makes one",
    );
    let keys = shop.seal_keys().map(|keys| format!("signs as {}", keys.current().public().fingerprint()));
    note(
        "seal key",
        keys.map_err(|error| format!("{error:#}")),
        "put it back from its backup, or name it with --seal-key-file; for a new shop `soonshop migrate` makes one",
    );
    note("lines of stock", lines, "what is said of it is what to do");
    let cure = "run `soonshop migrate` as a user who may create roles; take away what was granted by hand";
    note("role of replay-tool", guarded, cure);
    match of_checks {
        Ok(found) => {
            for one in found {
                let object = one.object.unwrap_or_default();
                let outcome = match one.reason {
                    None => Ok(format!("{object} works")),
                    Some(reason) => Err(format!("{object}: {reason}")),
                };
                note(&one.name, outcome, one.cure.unwrap_or_default());
            }
        }
        Err(error) => note("checks", Err(error), "see above"),
    }
    match followers {
        Ok((_, all, others)) => {
            for one in all.into_iter().chain(others) {
                let head = one.head;
                let detail = match one.position {
                    Some(position) => format!("at {position} of {head}"),
                    None => "has never begun".to_owned(),
                };
                let since = one.unhealthy_since.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
                let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
                let outcome = match one.complaint {
                    Some(complaint) => Err(format!("{detail}; {complaint}{since}")),
                    None if one.position.is_none() && head > 0 => Err(detail),
                    None => Ok(detail),
                };
                let cure = one.remedy.and_then(checks::cure);
                note(
                    &one.name,
                    outcome,
                    cure.unwrap_or("see that a process with its role is running: `soonshop serve --role …`"),
                );
            }
        }
        Err(error) => note("followers", Err(error), "see above"),
    }
    let cure = "start a process with the role projector or reactor that knows what is named, or drop a generation \
                that nobody keeps alive any more";
    note("erasures", erasures, cure);
    findings
}

/// Whether the lines of a stock are found by their index.
async fn lines_of_stock(shop: &Shop) -> Result<String, String> {
    let log = shop.log().map_err(|error| format!("{error:#}"))?;
    match soonshop_event_log::parts::defect(&log).await {
        Ok(None) => Ok("found by their index".to_owned()),
        Ok(Some(defect)) => Err(defect),
        Err(error) => Err(chain(&error)),
    }
}

/// Whether the role of `replay-tool` cannot write the log.
async fn replay_is_guarded(shop: &Shop) -> Result<String, String> {
    match shop.store_database.namespace("log") {
        Ok(db) => match soonshop_migrations::rights::replay_writes(&db.connection).await {
            Ok(None) => Ok("cannot write the log".to_owned()),
            Ok(Some(why)) => Err(why),
            Err(error) => Err(chain(&error)),
        },
        Err(error) => Err(error.to_string()),
    }
}

async fn erasures(shop: &Shop) -> Result<String, String> {
    match erased::incomplete(shop, None).await {
        Ok(missing) => {
            let stuck: Vec<String> = missing
                .iter()
                .filter(|one| one.kept_by.is_none())
                .take(MOST_LISTED)
                .map(ToString::to_string)
                .collect();
            match (stuck.is_empty(), missing.len()) {
                (true, 0) => Ok("every erasure that was asked for is complete".to_owned()),
                (true, _) => Ok("erasures are under way".to_owned()),
                (false, _) => Err(stuck.join("; ")),
            }
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

async fn in_time<T>(found: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let late = || format!("no answer within {} seconds", LIMIT.as_secs());
    tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| Err(late()))
}
