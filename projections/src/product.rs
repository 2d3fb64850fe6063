//! Products, as a shop window shows them; each has a search document.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use soonshop_domain::product::{Details, Event as ProductEvent, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::{Event, Money};
use soonshop_event_log::RecordedEvent;
use soonshop_search::{CATEGORY, Change, Document, Price, attribute_facet, value_key};

use crate::projector::{
    Documents, DocumentsOf, Failure, Indexed, NameColumn, Projector, Row, TableFor, TableOf, Unit, Wants, id,
};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "products")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub id: String,
    /// `listed` or `deleted`.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    #[sea_orm(column_type = "Text")]
    pub name: String,
    #[sea_orm(column_type = "Text")]
    pub description: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub category: Option<String>,
    /// The form in which categories are compared, as the search compares them.
    #[sea_orm(column_type = "Text", nullable)]
    pub category_key: Option<String>,
    /// An object of text.
    pub attributes: Json,
    /// `[{"sku": …, "price": {"amount": …, "currency": …}}]`
    pub variants: Json,
    /// The lowest price in any currency, in minor units; `None` while no variant can be bought. For what is asked by
    /// price, see [`price`].
    pub price: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub currency: Option<String>,
    /// Microseconds since 1970.
    pub created_at: i64,
    pub version: i64,
    pub position: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Row for Model {
    const GROUP: &'static str = "id";

    fn group(&self) -> String {
        self.id.clone()
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

/// The price of a variant: products are found by each of them, in its currency.
pub mod price {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "product_prices")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub product_id: String,
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub sku: String,
        #[sea_orm(column_type = "Text")]
        pub currency: String,
        /// In minor units.
        pub amount: i64,
        pub version: i64,
        pub position: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl crate::Row for Model {
        const GROUP: &'static str = "product_id";

        fn group(&self) -> String {
            self.product_id.clone()
        }

        fn key(&self) -> String {
            self.sku.clone()
        }
    }
}

/// A SKU of a product, with or without a price: people know the product by it.
pub mod sku {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "product_skus")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub product_id: String,
        #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
        pub sku: String,
        pub version: i64,
        pub position: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl crate::Row for Model {
        const GROUP: &'static str = "product_id";

        fn group(&self) -> String {
            self.product_id.clone()
        }

        fn key(&self) -> String {
            self.sku.clone()
        }
    }
}

fn json(value: &impl serde::Serialize) -> Result<Json, Failure> {
    serde_json::to_value(value).map_err(|error| Failure(error.to_string()))
}

impl Model {
    pub fn variants(&self) -> Vec<Variant> {
        serde_json::from_value(self.variants.clone()).unwrap_or_default()
    }

    fn describe(&mut self, details: &Details) -> Result<(), Failure> {
        self.name.clone_from(&details.name);
        self.description.clone_from(&details.description);
        self.category.clone_from(&details.category);
        self.category_key = details.category.as_deref().map(value_key);
        self.attributes = json(&details.attributes)?;
        Ok(())
    }

    fn offer(&mut self, variants: &[Variant]) -> Result<(), Failure> {
        let lowest: Option<&Money> =
            variants.iter().filter_map(|v| v.price.as_ref()).min_by_key(|price| price.amount);
        self.price = lowest.map(|price| price.amount);
        self.currency = lowest.map(|price| price.currency.to_string());
        self.variants = json(&variants)?;
        Ok(())
    }
}

impl Indexed for Model {
    fn document(&self) -> Change {
        if self.status != "listed" {
            return Change::Delete { id: self.id.clone(), version: self.position };
        }
        let attributes: std::collections::BTreeMap<String, String> =
            serde_json::from_value(self.attributes.clone()).unwrap_or_default();
        let category = self.category.iter().map(|category| (CATEGORY.to_owned(), vec![category.clone()]));
        let attributes = attributes.into_iter().map(|(name, value)| (attribute_facet(&name), vec![value]));
        let variants = self.variants();
        let price = |price: &Money| Price { amount: price.amount, currency: price.currency.to_string() };
        Change::Put(Document {
            id: self.id.clone(),
            version: self.position,
            name: self.name.clone(),
            skus: variants.iter().map(|variant| variant.sku.to_string()).collect(),
            description: self.description.clone(),
            facets: category.chain(attributes).collect(),
            prices: variants.iter().filter_map(|variant| variant.price.as_ref()).map(price).collect(),
            created_at: self.created_at,
        })
    }
}

/// The SKUs that an event gives a product.
fn given(event: &ProductEvent) -> Vec<&Sku> {
    match event {
        ProductEvent::ProductCreated { variants, .. } => variants.iter().map(|one| &one.sku).collect(),
        ProductEvent::ProductVariantAdded { variant } => vec![&variant.sku],
        ProductEvent::ProductPriceChanged { .. }
        | ProductEvent::ProductDetailsChanged { .. }
        | ProductEvent::ProductDeleted {}
        | ProductEvent::ProductSkuReleased { .. } => Vec::new(),
    }
}

/// The prices that an event sets.
fn priced(event: &ProductEvent) -> Vec<(&Sku, &Money)> {
    fn of(variant: &Variant) -> Option<(&Sku, &Money)> {
        Some((&variant.sku, variant.price.as_ref()?))
    }
    match event {
        ProductEvent::ProductCreated { variants, .. } => variants.iter().filter_map(of).collect(),
        ProductEvent::ProductVariantAdded { variant } => of(variant).into_iter().collect(),
        ProductEvent::ProductPriceChanged { sku, price } => vec![(sku, price)],
        ProductEvent::ProductDetailsChanged { .. }
        | ProductEvent::ProductDeleted {}
        | ProductEvent::ProductSkuReleased { .. } => Vec::new(),
    }
}

/// The projection `products`.
pub struct Products;

impl Projector for Products {
    fn name(&self) -> &'static str {
        "products"
    }

    fn version(&self) -> i32 {
        3
    }

    fn shape(&self) -> i32 {
        3
    }

    fn follows(&self) -> &'static [&'static str] {
        &["product"]
    }

    fn tables(&self) -> Vec<Box<dyn TableOf>> {
        vec![TableFor::<Model>::new(), TableFor::<price::Model>::new(), TableFor::<sku::Model>::new()]
    }

    fn indexes(&self) -> &'static [&'static str] {
        &[
            "CREATE INDEX products_by_status ON @products (status, created_at, id)",
            "CREATE INDEX products_by_category ON @products (category_key, created_at, id)",
            "CREATE INDEX product_skus_by_sku ON @product_skus (sku, product_id)",
            "CREATE INDEX product_prices_by_amount ON @product_prices (currency, amount, product_id)",
        ]
    }

    fn wants(&self, event: &RecordedEvent, wants: &mut Wants) {
        wants.want::<Model>(id(event));
        wants.want::<price::Model>(id(event));
        wants.want::<sku::Model>(id(event));
    }

    fn project(&self, event: &RecordedEvent, unit: &mut Unit) -> Result<(), Failure> {
        let Event::Product(product) = &event.event else { return Ok(()) };
        let id = id(event);
        for sku in given(product) {
            unit.put(sku::Model {
                product_id: id.clone(),
                sku: sku.to_string(),
                version: event.version,
                position: event.position,
            });
        }
        for (sku, price) in priced(product) {
            unit.put(price::Model {
                product_id: id.clone(),
                sku: sku.to_string(),
                currency: price.currency.to_string(),
                amount: price.amount,
                version: event.version,
                position: event.position,
            });
        }
        if let ProductEvent::ProductCreated { details, variants } = product {
            let mut row = Model {
                id,
                status: "listed".to_owned(),
                name: String::new(),
                description: String::new(),
                category: None,
                category_key: None,
                attributes: Json::Null,
                variants: Json::Null,
                price: None,
                currency: None,
                created_at: event.occurred_at.timestamp_micros(),
                version: event.version,
                position: event.position,
            };
            row.describe(details)?;
            row.offer(variants)?;
            unit.put(row);
            return Ok(());
        }
        let mut outcome = Ok(());
        unit.change(&id, &id, |row: &mut Model| {
            (row.version, row.position) = (event.version, event.position);
            outcome = match product {
                // A SKU that was given back stays in the row, which shows what was sold here.
                ProductEvent::ProductCreated { .. } | ProductEvent::ProductSkuReleased { .. } => Ok(()),
                ProductEvent::ProductDetailsChanged { details } => row.describe(details),
                ProductEvent::ProductVariantAdded { variant } => {
                    let mut variants = row.variants();
                    variants.push(variant.clone());
                    row.offer(&variants)
                }
                ProductEvent::ProductPriceChanged { sku, price } => {
                    let mut variants = row.variants();
                    variants.iter_mut().filter(|v| v.sku == *sku).for_each(|v| v.price = Some(*price));
                    row.offer(&variants)
                }
                ProductEvent::ProductDeleted {} => {
                    "deleted".clone_into(&mut row.status);
                    Ok(())
                }
            };
        })?;
        outcome
    }

    fn names(&self) -> &'static [NameColumn] {
        &[
            NameColumn {
                table: "products",
                aggregate_type: "product",
                id: "id",
                column: "name",
                kind: "name",
                is_text: true,
            },
            NameColumn {
                table: "product_skus",
                aggregate_type: "product",
                id: "product_id",
                column: "sku",
                kind: "sku",
                is_text: false,
            },
        ]
    }

    fn documents(&self) -> Option<Box<dyn Documents>> {
        Some(DocumentsOf::<Model>::new())
    }
}
