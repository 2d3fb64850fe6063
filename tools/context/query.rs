//! __Name__ over HTTP: queries.

use serde::Serialize;
use soonshop_domain::__name__::__Name__ as State;
use soonshop_projections::__name__::Model;
use soonshop_service_kit::endpoint::params::{Kind, Sort};
use soonshop_service_kit::rates::Class::Reads;
use utoipa::ToSchema;

use crate::driver::entity::reads;
use crate::driver::list::lists;
use crate::driver::shown::{Filter, ReadModel, Shown};
use crate::driver::state::{Call, Endpoint};

/// Its rows of the table.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new("/__name__", "__name__.list", Reads, "List all __name__", lists::<Model>()),
        Endpoint::new("/__name__/{id}", "__name__.read", Reads, "Read a __name__", reads::<Model>()),
    ]
}

#[derive(Serialize, ToSchema)]
pub(crate) struct __Name__ {
    id: String,
    label: String,
    /// `open` or `closed`.
    status: String,
    version: i64,
    /// Of the event that last changed it.
    position: i64,
}

impl Shown for Model {
    type View = __Name__;
    type State = State;

    const MODEL: ReadModel = ReadModel {
        projection: "__name__",
        stream: Call::id,
        own: None,
        params: &[],
        filters: &[Filter::new("status", Kind::OneOf(&["open", "closed"]), "status = ?", "All where it is left out.")],
        together: None,
        sorts: &[Sort { name: "label", column: "label" }, Sort { name: "-label", column: "label" }],
        changing: &[],
        shortened: &[],
        gone: ("not-found", "there is nothing of this name"),
        cached: false,
    };

    fn view(self) -> __Name__ {
        let Self { id, label, status, version, position } = self;
        __Name__ { id, label, status, version, position }
    }

    fn version(&self) -> i64 {
        self.version
    }
}
