//! The answer of an endpoint, for the API's description.

use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema, Type};

/// The answer of an endpoint: its schema, and the schemas it refers to.
pub struct Described {
    pub(super) schema: RefOr<Schema>,
    pub(super) components: Vec<(String, RefOr<Schema>)>,
    /// It has a version.
    pub(super) entity: bool,
    /// It has pages.
    pub(super) paged: bool,
}

pub(super) fn components<T: ToSchema>() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

/// A schema of a text.
pub fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

impl Described {
    /// An answer of this shape.
    pub fn one<T: ToSchema>() -> Self {
        let schema = Ref::from_schema_name(T::name()).into();
        Self { schema, components: components::<T>(), entity: false, paged: false }
    }

    /// An entity as it is now, or as it was (`as_of`).
    pub fn either<T: ToSchema, U: ToSchema>() -> Self {
        let refs =
            OneOfBuilder::new().item(Ref::from_schema_name(T::name())).item(Ref::from_schema_name(U::name()));
        let components = components::<T>().into_iter().chain(components::<U>()).collect();
        Self { schema: Schema::OneOf(refs.build()).into(), components, entity: true, paged: false }
    }

    /// A page of a list of these.
    pub fn list<T: ToSchema>() -> Self {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).build();
        let next = text()
            .description(Some("What to send as `after` for the page that follows; null on the last one."));
        let page = ObjectBuilder::new().property("items", items).property("next", next).required("items");
        Self { schema: page.build().into(), components: components::<T>(), entity: false, paged: true }
    }

    /// The same list, in an order by a value that can change meanwhile.
    #[must_use]
    pub fn that_changes(mut self) -> Self {
        if let RefOr::T(Schema::Object(page)) = &mut self.schema {
            let about = "True: these rows changed after the first page was read. They come last, and may have been \
                         listed before, with other values.";
            let changed = ObjectBuilder::new().schema_type(Type::Boolean).description(Some(about)).build();
            page.properties.insert("changed".to_owned(), RefOr::T(Schema::Object(changed)));
        }
        self
    }

    /// A schema made by hand.
    pub fn schema(schema: impl Into<RefOr<Schema>>) -> Self {
        Self { schema: schema.into(), components: Vec::new(), entity: false, paged: false }
    }
}
