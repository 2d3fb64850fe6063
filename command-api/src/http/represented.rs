//! Whom a caller may act for (`X-On-Behalf-Of`): a user of the shop as a customer, and a buyer without an account as a
//! guest. Nobody acts for an id that is nobody's, and nobody for a user under the name of a guest.

use soonshop_domain::user::User;
use soonshop_event_log::history;
use soonshop_service_kit::Problem;
use soonshop_service_kit::access::Owner;
use soonshop_service_kit::headers::Represented;
use uuid::Uuid;

use super::answer::{refused, unreadable};
use super::call::Call;
use super::headers::invalid_header;
use super::state::Commands;

const HEADER: &str = "X-On-Behalf-Of";

/// Refuses the holders of keys, the operator and, as a customer, who is no user. A user who was deleted is one: a command
/// that is sent again has the answer that it had.
pub(super) async fn check(commands: &Commands, named: &Represented) -> Result<(), Problem> {
    if commands.access.works_here(named.id).await? {
        let detail = "X-On-Behalf-Of names the holder of a key or the operator, who is no customer";
        return Err(invalid_header(HEADER, detail));
    }
    let is_user = commands.store.version::<User>(named.id).await.map_err(refused)? > 0;
    let detail = match (named.is_guest(), is_user) {
        (false, true) | (true, false) => return Ok(()),
        (false, false) => {
            "X-On-Behalf-Of names a customer whom the shop does not know: name the id of a user"
        }
        (true, true) => "X-On-Behalf-Of names a user as a guest: send customer:<id> for a user",
    };
    Err(invalid_header(HEADER, detail))
}

impl Call {
    /// Refuses a guest whom nobody knows: nothing is stored about them, the thing in the path is not theirs, and the
    /// command begins nothing. A guest begins to exist by what they begin first.
    pub(super) async fn may_represent(&self, target: &[String]) -> Result<(), Problem> {
        let Some(guest) = self.represented().filter(|named| named.is_guest()) else { return Ok(()) };
        if self.row().of == Owner::New
            || self.is_known(guest.id).await?
            || self.is_of(guest.id, target).await?
        {
            return Ok(());
        }
        let detail = "X-On-Behalf-Of names a guest whom the shop does not know, and this is not theirs: name the guest of \
                      the order, or leave the header out";
        Err(invalid_header(HEADER, detail))
    }

    /// Whether the thing in the path is about this person: its first event says so.
    async fn is_of(&self, person: Uuid, target: &[String]) -> Result<bool, Problem> {
        let Some(id) = target.first().filter(|id| Uuid::try_parse(id).is_ok()) else { return Ok(false) };
        let log = self.store.log();
        let rows = log.stream(self.row().aggregate_type(), id, 0, 1).await.map_err(unreadable)?;
        let first = history::decode(log, rows).await?.into_iter().next();
        Ok(first.and_then(|first| first.event.subject(first.stream)) == Some(person))
    }
}
