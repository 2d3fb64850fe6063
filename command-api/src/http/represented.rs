//! Whom a caller may act for (`X-On-Behalf-Of`): a user of the shop as a customer, and a buyer without an account as a
//! guest. An id that the shop does not know is refused, and so is the id of a user that is sent as a guest's.

use soonshop_domain::user::User;
use soonshop_service_kit::Problem;
use soonshop_service_kit::headers::Represented;

use super::answer::refused;
use super::headers::invalid_header;
use super::state::Commands;

pub(crate) const HEADER: &str = "X-On-Behalf-Of";

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
