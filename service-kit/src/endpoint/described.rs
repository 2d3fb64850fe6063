//! The answer of an endpoint, for the API's description.

use std::collections::BTreeMap;

use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, SchemaType};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema, Type};

use super::unsigned::widen;

/// The answer of an endpoint: its schema, and the schemas it refers to.
pub struct Described {
    pub(super) schema: RefOr<Schema>,
    pub(super) components: Vec<(String, RefOr<Schema>)>,
    /// It has a version.
    pub(super) entity: bool,
    /// It has pages.
    pub(super) paged: bool,
    /// Its media type: JSON unless it is a file or a stream.
    pub(super) media_type: &'static str,
    /// It is JSON also where the status is `503`: the answer says what does not work.
    pub(super) unavailable: bool,
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

/// A schema of a text that may be null.
pub fn text_or_null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

/// Schemas by their names. Two schemas of one name are a mistake, as one of them would be described as the other.
pub fn by_name(
    schemas: impl IntoIterator<Item = (String, RefOr<Schema>)>,
) -> BTreeMap<String, RefOr<Schema>> {
    let mut named = BTreeMap::<String, RefOr<Schema>>::new();
    for (name, mut schema) in schemas {
        widen(&mut schema);
        let other = named.get(&name);
        debug_assert!(other.is_none_or(|other| *other == schema), "two schemas are called {name}");
        named.insert(name, schema);
    }
    named
}

impl Described {
    fn of(schema: impl Into<RefOr<Schema>>, components: Vec<(String, RefOr<Schema>)>) -> Self {
        let (schema, media_type) = (schema.into(), "application/json");
        Self { schema, components, entity: false, paged: false, media_type, unavailable: false }
    }

    /// An answer of this shape.
    pub fn one<T: ToSchema>() -> Self {
        Self::of(Ref::from_schema_name(T::name()), components::<T>())
    }

    /// A file or a stream of this media type, which is no JSON document.
    pub fn file(media_type: &'static str, about: &str) -> Self {
        let schema = text().description(Some(about)).build();
        Self { media_type, ..Self::of(Schema::from(schema), Vec::new()) }
    }

    /// The answer has a version: it comes with `ETag`, and `304` where the asker has it.
    #[must_use]
    pub fn with_version(self) -> Self {
        Self { entity: true, ..self }
    }

    /// The answer has pages: the next one is in `Link`.
    #[must_use]
    pub fn with_pages(self) -> Self {
        Self { paged: true, ..self }
    }

    /// The same shape with the status `503`, too: it says what does not work.
    #[must_use]
    pub fn also_unavailable(self) -> Self {
        Self { unavailable: true, ..self }
    }

    /// An answer of one of these shapes: the second where the caller may not see the first.
    pub fn one_or<T: ToSchema, U: ToSchema>() -> Self {
        Self { entity: false, ..Self::either::<T, U>() }
    }

    /// An entity as it is now, or as it was (`as_of`).
    pub fn either<T: ToSchema, U: ToSchema>() -> Self {
        let refs =
            OneOfBuilder::new().item(Ref::from_schema_name(T::name())).item(Ref::from_schema_name(U::name()));
        let components = components::<T>().into_iter().chain(components::<U>()).collect();
        Self { entity: true, ..Self::of(Schema::OneOf(refs.build()), components) }
    }

    /// A page of a list of these.
    pub fn list<T: ToSchema>() -> Self {
        let items = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).build();
        let next = text_or_null()
            .description(Some("What to send as `after` for the page that follows; null on the last one."));
        let page = ObjectBuilder::new().property("items", items).property("next", next);
        let page = page.required("items").required("next").build();
        Self { paged: true, ..Self::of(Schema::from(page), components::<T>()) }
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
        Self::of(schema, Vec::new())
    }
}
