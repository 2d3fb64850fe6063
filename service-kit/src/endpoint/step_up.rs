//! A form of a page that asks for a fresh second factor takes the code with it, in the field `code`. Without one, or with a
//! wrong one, the page that asks for the code sends what was typed again, so that nobody types it twice.

use axum::http::HeaderMap;
use url::form_urlencoded;

use super::call::{Sent, Takes};
use crate::Problem;
use crate::access::session::from_here;
use crate::access::{Access, Factor, Visitor};

/// The field of the code.
const CODE: &str = "code";

/// The form without its code, which was given as a second factor of the visitor's session. `asked`: whether it asked for
/// one.
pub(super) async fn form_with_code(
    access: &Access,
    takes: &Takes<'_>,
    visitor: &mut Visitor,
    (headers, sent): (&HeaderMap, Sent),
    asked: &mut bool,
) -> Result<Sent, Problem> {
    let asks = takes.form.is_some()
        && takes.needs.asks_for_fresh_factor()
        && visitor.caller.factor == Factor::NotFresh
        && visitor.caller.must_by_role(takes.needs, takes.named).is_ok();
    let (true, Some(session), Sent::Form(Ok(text))) = (asks, visitor.caller.own_session(), &sent) else {
        return Ok(sent);
    };
    from_here(headers)?;
    let (codes, others): (Vec<_>, Vec<_>) =
        form_urlencoded::parse(text.as_bytes()).into_owned().partition(|(name, _)| name == CODE);
    let code = codes.into_iter().map(|(_, code)| code).find(|code| !code.is_empty());
    *asked = true;
    if let Some(code) = code {
        access.people()?.step_up(session, &code).await?;
        visitor.caller.factor = Factor::Fresh;
    }
    Ok(Sent::Form(Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(others).finish())))
}
