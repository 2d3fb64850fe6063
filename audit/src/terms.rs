//! The terms of a search as people type them: `actor:staff:42 type:Stock* -agg:order "a text"`. A term that cannot be
//! read is refused with its number.

use chrono::{Months, NaiveDate};
use chrono_tz::Tz;
use serde_json::json;
use soonshop_domain::{ActorKind, Channel, QueryError, TYPES, clock};
use uuid::Uuid;

use crate::amounts;
use crate::condition::Condition;

/// The most terms of one search.
const MOST_TERMS: usize = 20;

/// A filter of a search. An error says which values it takes.
pub struct Term {
    /// The name before the colon.
    pub name: &'static str,
    /// Which values it takes.
    pub about: &'static str,
    /// Reads a value, whose days begin in that time zone; `None` if it is invalid.
    pub read: fn(&str, Tz) -> Option<Condition>,
}

/// Every filter of a search.
pub const TERMS: &[Term] = &[
    Term {
        name: "type",
        about: "an event's type, such as OrderPlaced or Stock*",
        read: |raw, _| event_type(raw),
    },
    Term {
        name: "agg",
        about: "an aggregate's type, such as order",
        read: |raw, _| TYPES.contains(&raw).then(|| Condition::new("aggregate_type = ?", raw)),
    },
    Term { name: "id", about: "the UUID of an aggregate", read: |raw, _| by_id("aggregate_id = ?", raw) },
    Term {
        name: "actor",
        about: "a kind of actor, or kind and id, such as staff:42",
        read: |raw, _| actor(raw),
    },
    Term {
        name: "chan",
        about: "a channel, such as storefront",
        read: |raw, _| {
            raw.parse::<Channel>().ok().map(|channel| Condition::new("channel = ?", channel.as_ref()))
        },
    },
    Term { name: "correlation", about: "a UUID", read: |raw, _| by_id("correlation_id = ?", raw) },
    Term {
        name: "command",
        about: "the UUID of a command",
        read: |raw, _| {
            let id = Uuid::try_parse(raw).ok()?.to_string();
            // Its own events, and those that they caused directly.
            let sql = "position IN (SELECT o.position FROM @audit o WHERE o.command_id = ? UNION ALL \
                       SELECT f.position FROM @audit o JOIN @audit f ON f.causation_id = o.id WHERE o.command_id = ?)";
            Some(Condition::of(sql.to_owned(), vec![id.as_str().into(), id.as_str().into()]))
        },
    },
    Term { name: "cause", about: "the UUID of an event", read: |raw, _| by_id("causation_id = ?", raw) },
    Term { name: "subject", about: "the UUID of a data subject", read: |raw, _| by_id("subject = ?", raw) },
    Term {
        name: "reason",
        about: "the code of a reason",
        read: |raw, _| plain(raw).then(|| Condition::new("reason_code = ?", raw)),
    },
    Term {
        name: "amount",
        about: "a number such as 12.50, with >, >=, < or <= before it or two with .. between them, and perhaps a currency",
        read: |raw, _| amounts::condition(raw),
    },
    Term {
        name: "created",
        about: "a day, a month or a moment, two with .. between them, or last:24h (m, h, d)",
        read: |raw, zone| times("recorded_at", raw, zone),
    },
    Term {
        name: "occurred",
        about: "business time: a day, a month or a moment, two with .. between them, or last:24h (m, h, d)",
        read: |raw, zone| times("occurred_at", raw, zone),
    },
];

/// Whether a value can be stored in SQL text columns at all.
fn plain(raw: &str) -> bool {
    !raw.is_empty() && !raw.contains('\0')
}

fn by_id(sql: &str, raw: &str) -> Option<Condition> {
    Uuid::try_parse(raw).ok().map(|id| Condition::new(sql, id.to_string()))
}

fn event_type(raw: &str) -> Option<Condition> {
    let name = raw.strip_suffix('*').unwrap_or(raw);
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric()) && (raw != name || !name.is_empty());
    fits.then(|| {
        if raw == name {
            Condition::new("event_type = ?", raw)
        } else {
            Condition::new("lower(event_type) LIKE ?", format!("{}%", name.to_lowercase()))
        }
    })
}

fn actor(raw: &str) -> Option<Condition> {
    let (kind, id) = raw.split_once(':').map_or((raw, None), |(kind, id)| (kind, Some(id)));
    let kind: ActorKind = kind.parse().ok()?;
    Some(match id {
        None => Condition::new("actor_kind = ?", kind.as_ref()),
        Some(id) if plain(id) => Condition::of(
            "(actor_kind = ? AND actor_id = ?)".to_owned(),
            vec![kind.as_ref().into(), id.into()],
        ),
        Some(_) => return None,
    })
}

/// Durations such as `24h`, `30m`, `7d`, counted back from now.
fn ago(raw: &str) -> Option<i64> {
    let (digits, unit) = raw.split_at_checked(raw.len().checked_sub(1)?)?;
    let number: u32 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let minutes = match unit {
        "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        _ => return None,
    };
    let ago = chrono::TimeDelta::try_minutes(i64::from(number) * minutes)?;
    Some(clock::now().checked_sub_signed(ago)?.timestamp_micros())
}

/// When the time that is named ends, in microseconds since 1970: the first moment after a day or a month; `None` for a
/// moment, which has no end.
fn ends(raw: &str, zone: Tz) -> Option<i64> {
    let first = |month: &str| month.parse::<NaiveDate>().ok();
    let next = match raw.len() {
        7 => first(&format!("{raw}-01"))?.checked_add_months(Months::new(1))?,
        10 => first(raw)?.succ_opt()?,
        _ => return None,
    };
    begins(&next.format("%Y-%m-%d").to_string(), zone)
}

/// When a day, a month or a moment begins, in microseconds since 1970.
fn begins(raw: &str, zone: Tz) -> Option<i64> {
    let month = raw.len() == "2011-01".len() && raw.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let moment =
        if month { clock::parse_in(&format!("{raw}-01"), &zone) } else { clock::parse_in(raw, &zone) };
    moment.map(|moment| moment.timestamp_micros())
}

/// A time that is not before the first moment, and is before the second one, if there is one.
fn times(column: &str, raw: &str, zone: Tz) -> Option<Condition> {
    let since = |from: i64| Condition::new(&format!("{column} >= ?"), from);
    if let Some(ago) = raw.strip_prefix("last:") {
        return self::ago(ago).map(since);
    }
    let (from, to) = match raw.split_once("..") {
        Some((from, "")) => return begins(from, zone).map(since),
        Some((from, to)) => (begins(from, zone)?, begins(to, zone)?),
        None => {
            let from = begins(raw, zone)?;
            // A day or a month alone is all of it; a moment has no length.
            match ends(raw, zone) {
                Some(to) => (from, to),
                None => return Some(since(from)),
            }
        }
    };
    Some(Condition::of(format!("({column} >= ? AND {column} < ?)"), vec![from.into(), to.into()]))
}

/// A text that is searched literally, whatever characters are in it.
fn text(raw: &str) -> Option<Condition> {
    let text = raw.to_lowercase();
    let like = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let like = format!("%{like}%");
    plain(raw).then(|| Condition {
        // A text with a line break matches no single line, so no block can be looked up by it.
        text: (!text.contains('\n')).then_some(text),
        sql: "(text LIKE ? ESCAPE '\\' OR lower(coalesce(reason_code, '')) LIKE ? ESCAPE '\\' \
              OR coalesce(command_type, '') LIKE ? ESCAPE '\\')"
            .to_owned(),
        values: vec![like.clone().into(), like.clone().into(), like.into()],
    })
}

/// One piece of the typed search.
#[derive(Debug, PartialEq, Eq)]
struct Token {
    text: String,
    /// It began with a quote, so it is a text, whatever it contains.
    quoted: bool,
}

/// Splits at spaces outside of quotes; `None`: a quote is not closed.
fn tokens(typed: &str) -> Option<Vec<Token>> {
    let (mut tokens, mut rest) = (Vec::new(), typed.trim_start());
    while !rest.is_empty() {
        let (quoted, after) = match rest.strip_prefix('"') {
            Some(inside) => {
                let (text, after) = inside.split_once('"')?;
                (Token { text: text.to_owned(), quoted: true }, after)
            }
            None => {
                let (text, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                (Token { text: text.to_owned(), quoted: false }, after)
            }
        };
        tokens.push(quoted);
        rest = after.trim_start();
    }
    Some(tokens)
}

/// Why a term cannot be read: the name of its filter, or `text`, `quote` or `unknown`; and a sentence.
struct TermError {
    filter: &'static str,
    reason: String,
}

/// The typed search in pieces, numbered as errors number them.
pub fn typed(text: &str) -> Vec<(usize, String)> {
    let pieces = match tokens(text) {
        Some(tokens) => {
            let shown = |token: Token| if token.quoted { format!("\"{}\"", token.text) } else { token.text };
            tokens.into_iter().map(shown).collect()
        }
        None => text.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
    };
    (1..).zip(pieces).collect()
}

/// A term of a search: its condition, and its normal form.
fn term(token: &Token, zone: Tz) -> Result<(Condition, String), TermError> {
    let shown = |condition: Option<Condition>| {
        let reason = "a text needs at least one character, and no NUL".to_owned();
        let condition = condition.ok_or(TermError { filter: "text", reason })?;
        Ok((condition, format!("\"{}\"", token.text)))
    };
    if token.quoted {
        return shown(text(&token.text));
    }
    let (negated, plain) = match token.text.strip_prefix('-') {
        Some(rest) if rest.contains(':') => (true, rest),
        _ => (false, token.text.as_str()),
    };
    let Some((name, value)) = plain.split_once(':') else { return shown(text(plain)) };
    let Some(known) = TERMS.iter().find(|term| term.name == name) else {
        let names: Vec<_> = TERMS.iter().map(|term| term.name).collect();
        let reason = format!(
            "there is no such filter; known: {}; a text with a colon goes in quotes",
            names.join(", ")
        );
        return Err(TermError { filter: "unknown", reason });
    };
    let mut condition = (known.read)(value, zone).ok_or_else(|| TermError {
        filter: known.name,
        reason: format!("{}: it is {}", known.name, known.about),
    })?;
    if negated {
        // A row without a value does not have that value, so it matches the negated term.
        condition.sql = format!("({}) IS NOT TRUE", condition.sql);
    }
    Ok((condition, token.text.clone()))
}

/// All conditions of a search, whose days begin in that time zone, or an error that names every invalid token.
pub fn search(typed: &str, zone: Tz) -> Result<(Vec<Condition>, Vec<String>), QueryError> {
    let refuse = |errors: Vec<serde_json::Value>, detail: String| {
        QueryError::parameter("q", &detail).with("tokens", serde_json::Value::Array(errors))
    };
    let Some(tokens) = tokens(typed) else {
        let number = typed.split_whitespace().count();
        let last = json!({ "token": number, "filter": "quote", "reason": "a quote is not closed" });
        return Err(refuse(vec![last], "a quote is not closed".to_owned()));
    };
    if tokens.len() > MOST_TERMS {
        return Err(refuse(Vec::new(), format!("there are more than {MOST_TERMS} terms")));
    }
    let (mut conditions, mut understood, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (number, token) in (1..).zip(&tokens) {
        match term(token, zone) {
            Ok((condition, message)) => {
                conditions.push(condition);
                understood.push(message);
            }
            Err(TermError { filter, reason }) => {
                errors.push(json!({ "token": number, "filter": filter, "reason": reason }));
            }
        }
    }
    match errors.first() {
        None => Ok((conditions, understood)),
        Some(first) => {
            let detail =
                format!("token {}: {}", first["token"], first["reason"].as_str().unwrap_or_default());
            Err(refuse(errors, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(typed: &str) -> Vec<i64> {
        let problem = search(typed, Tz::UTC).err().unwrap();
        let tokens = problem.members()["tokens"].as_array().unwrap().clone();
        tokens.iter().map(|one| one["token"].as_i64().unwrap()).collect()
    }

    #[test]
    fn a_typed_search_is_split_into_terms_and_texts() {
        let found = tokens(r#" actor:staff:42  "refused by: bank" mug "#).unwrap();
        let texts: Vec<_> = found.iter().map(|token| (token.text.as_str(), token.quoted)).collect();
        assert_eq!(texts, [("actor:staff:42", false), ("refused by: bank", true), ("mug", false)]);
        assert_eq!(
            search(r#"type:Stock* -agg:order "a b" created:2026-11-01..2026-11-22"#, Tz::UTC)
                .unwrap()
                .0
                .len(),
            4
        );
    }

    #[test]
    fn days_of_a_search_begin_in_its_zone() {
        let of = |zone| times("recorded_at", "2026-04-01..2026-04-02", zone).unwrap().values;
        let shanghai: Vec<sea_orm::Value> = ["2026-03-31T16:00:00Z", "2026-04-01T16:00:00Z"]
            .map(|at| clock::parse(at).unwrap().timestamp_micros().into())
            .into();
        assert_eq!(of(Tz::Asia__Shanghai), shanghai);
        assert_ne!(of(Tz::UTC), shanghai);
    }

    #[test]
    fn a_month_begins_with_its_first_day_in_the_zone_of_the_search() {
        let of = |typed: &str, zone| search(typed, zone).unwrap().0.remove(0);
        for zone in [Tz::UTC, Tz::Asia__Shanghai] {
            for name in ["created", "occurred"] {
                let months = of(&format!("{name}:2011-01..2011-03"), zone);
                assert_eq!(months.values, of(&format!("{name}:2011-01-01..2011-03-01"), zone).values);
                assert_eq!(of(&format!("{name}:2011-01.."), zone).values, months.values[..1]);
                let alone = of(&format!("{name}:2010-12"), zone);
                assert_eq!(alone.values, of(&format!("{name}:2010-12..2011-01"), zone).values);
                let day = of(&format!("{name}:2010-12-31"), zone);
                assert_eq!(day.values, of(&format!("{name}:2010-12-31..2011-01-01"), zone).values);
                assert_eq!(of(&format!("{name}:2011-01-01T00:00:00Z"), zone).values.len(), 1);
            }
        }
        assert!(of("occurred:2011-01", Tz::UTC).sql.contains("occurred_at"));
        assert!(of("created:2011-01", Tz::UTC).sql.contains("recorded_at"));
    }

    #[test]
    fn every_invalid_token_is_named_and_its_value_is_not_repeated() {
        assert_eq!(wrong("type:[ mug agg:secret email:secret@x"), [1, 3, 4]);
        assert_eq!(wrong(r#"mug "open"#), [2]);
        for typed in [
            "id:secret",
            "command:secret",
            "actor:secret",
            "chan:secret",
            "amount:secret",
            "amount:>secretGBP",
            "created:secret",
            "created:2026-11-01..secret",
            "created:last:secret",
            "created:last:9999999999d",
            "created:last:",
            "created:2011-13",
            "occurred:secret",
            "occurred:2011-01..secret",
            "occurred:last:secret",
            "secret:1",
        ] {
            let problem = search(typed, Tz::UTC).err().unwrap();
            assert!(!problem.detail().contains("secret"), "{problem}");
        }
    }
}
