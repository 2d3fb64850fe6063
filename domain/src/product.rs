//! Products and their variants. A variant is sold: it has a price, and a SKU that no other product has.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::claim::scope;
use crate::text::Sku;
use crate::{
    Classified, Decider, ErrorKind, EventInfo, Expectation, Facts, Hold, Money, PersonalValue, Sensitive,
};

/// The most variants that a product may have.
pub const MOST_VARIANTS: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub sku: Sku,
    /// Of one unit. A variant without a price cannot be ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
}

/// How a product is described.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Such as `colour` → `red`: a search can filter by them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

impl Details {
    /// Normalises every text; the pointer names the field that is invalid.
    pub fn try_new(raw: Self) -> Result<Self, (String, crate::text::TextError)> {
        use crate::text::{TextError, folded, line, prose};
        let (mut attributes, mut names) = (BTreeMap::new(), BTreeSet::new());
        for (key, value) in raw.attributes {
            let at = |error| ("/attributes".to_owned(), error);
            let name = line(&key, 64).map_err(at)?;
            if !names.insert(folded(&name)) {
                return Err(at(TextError::SameName));
            }
            attributes.insert(name, line(&value, 200).map_err(at)?);
        }
        Ok(Self {
            name: line(&raw.name, 200).map_err(|e| ("/name".to_owned(), e))?,
            description: prose(&raw.description, 10_000).map_err(|e| ("/description".to_owned(), e))?,
            category: raw
                .category
                .map(|c| line(&c, 64))
                .transpose()
                .map_err(|e| ("/category".to_owned(), e))?,
            attributes,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Create {
        details: Details,
        variants: Vec<Variant>,
    },
    Change {
        details: Details,
    },
    AddVariant {
        variant: Variant,
    },
    SetPrice {
        sku: Sku,
        price: Money,
    },
    Delete,
    /// Gives a SKU of a deleted product back: another product may have it.
    ReleaseSku {
        sku: Sku,
    },
    /// Changes nothing, and is refused unless the product, listed or deleted, holds the SKU: what is done with it at the
    /// same time counts on that.
    HoldSku {
        sku: Sku,
    },
    /// Like [`HoldSku`](Self::HoldSku), and refused once the product was deleted.
    HoldListedSku {
        sku: Sku,
    },
}

#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::AsRefStr,
    strum::VariantNames,
    strum::EnumDiscriminants,
)]
#[strum_discriminants(name(EventKind), derive(strum::IntoStaticStr, strum::VariantArray))]
pub enum Event {
    ProductCreated {
        #[serde(flatten)]
        details: Details,
        variants: Vec<Variant>,
    },
    ProductDetailsChanged {
        #[serde(flatten)]
        details: Details,
    },
    ProductVariantAdded {
        variant: Variant,
    },
    ProductPriceChanged {
        sku: Sku,
        price: Money,
    },
    ProductDeleted {},
    /// Of a deleted product: another one may have the SKU from now on.
    ProductSkuReleased {
        sku: Sku,
    },
}

impl Sensitive for Event {
    fn personal(&mut self) -> Vec<&mut dyn PersonalValue> {
        match self {
            Self::ProductCreated { .. }
            | Self::ProductDetailsChanged { .. }
            | Self::ProductVariantAdded { .. }
            | Self::ProductPriceChanged { .. }
            | Self::ProductDeleted {}
            | Self::ProductSkuReleased { .. } => Vec::new(),
        }
    }
}

impl EventInfo for Event {
    fn subject(&self, _stream: Uuid) -> Option<Uuid> {
        match self {
            Self::ProductCreated { .. }
            | Self::ProductDetailsChanged { .. }
            | Self::ProductVariantAdded { .. }
            | Self::ProductPriceChanged { .. }
            | Self::ProductDeleted {}
            | Self::ProductSkuReleased { .. } => None,
        }
    }

    fn amount(&self) -> Option<Money> {
        match self {
            Self::ProductVariantAdded { variant } => variant.price,
            Self::ProductPriceChanged { price, .. } => Some(*price),
            Self::ProductCreated { .. }
            | Self::ProductDetailsChanged { .. }
            | Self::ProductDeleted {}
            | Self::ProductSkuReleased { .. } => None,
        }
    }

    fn amount_path(kind: EventKind) -> Option<&'static str> {
        match kind {
            EventKind::ProductVariantAdded => Some("variant.price"),
            EventKind::ProductPriceChanged => Some("price"),
            EventKind::ProductCreated
            | EventKind::ProductDetailsChanged
            | EventKind::ProductDeleted
            | EventKind::ProductSkuReleased => None,
        }
    }

    fn name_paths(kind: EventKind) -> &'static [&'static str] {
        match kind {
            EventKind::ProductCreated | EventKind::ProductDetailsChanged => &["name"],
            EventKind::ProductVariantAdded
            | EventKind::ProductPriceChanged
            | EventKind::ProductDeleted
            | EventKind::ProductSkuReleased => &[],
        }
    }

    fn is_refusal(kind: EventKind) -> bool {
        match kind {
            EventKind::ProductCreated
            | EventKind::ProductDetailsChanged
            | EventKind::ProductVariantAdded
            | EventKind::ProductPriceChanged
            | EventKind::ProductDeleted
            | EventKind::ProductSkuReleased => false,
        }
    }

    fn expects(kind: EventKind) -> Option<Expectation<EventKind>> {
        match kind {
            EventKind::ProductCreated
            | EventKind::ProductDetailsChanged
            | EventKind::ProductVariantAdded
            | EventKind::ProductPriceChanged
            | EventKind::ProductDeleted
            | EventKind::ProductSkuReleased => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Error {
    #[error("there is no such product")]
    ProductNotFound,
    #[error("the product was deleted")]
    ProductDeleted,
    #[error("the product exists already")]
    ProductExists,
    #[error("the product is listed: a SKU is given back once it is deleted")]
    ProductListed,
    #[error("a product has between 1 and 200 variants, each with a SKU of its own")]
    BadVariants,
    #[error("the product has no variant {0}")]
    NoSuchVariant(Sku),
    #[error("a price is between 0 and 100,000,000,000 minor units")]
    BadPrice,
    #[error("there is stock of this SKU: {on_hand} units, {reserved} of them reserved")]
    StockLeft { on_hand: i64, reserved: i64 },
}

impl Classified for Error {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::ProductNotFound | Self::NoSuchVariant(_) => ErrorKind::NotFound,
            Self::ProductDeleted => ErrorKind::Gone,
            Self::ProductExists | Self::ProductListed | Self::StockLeft { .. } => ErrorKind::Conflict,
            Self::BadVariants | Self::BadPrice => ErrorKind::Invalid,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Product {
    #[default]
    Unknown,
    Listed {
        #[serde(flatten)]
        details: Details,
        variants: Vec<Variant>,
    },
    Deleted {
        /// Those that it holds: no other product may have them.
        skus: Vec<Sku>,
        /// Those that it gave back.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        released: Vec<Sku>,
    },
}

impl Decider for Product {
    const STATE_VERSION: u32 = 2;

    fn decide(&self, command: Command, _: &Facts) -> Result<Vec<Event>, Error> {
        match (self, command) {
            (Self::Unknown, Command::Create { details, variants }) => {
                let mut skus: Vec<&Sku> = variants.iter().map(|variant| &variant.sku).collect();
                skus.sort_unstable();
                skus.dedup();
                if skus.len() != variants.len() || !(1..=MOST_VARIANTS).contains(&variants.len()) {
                    return Err(Error::BadVariants);
                }
                if !variants.iter().filter_map(|variant| variant.price).all(Money::is_price) {
                    return Err(Error::BadPrice);
                }
                Ok(vec![Event::ProductCreated { details, variants }])
            }
            (Self::Unknown, _) => Err(Error::ProductNotFound),
            (product, Command::HoldSku { sku }) if product.skus().contains(&&sku) => Ok(vec![]),
            (product, Command::HoldListedSku { sku }) if product.skus().contains(&&sku) => match product {
                Self::Deleted { .. } => Err(Error::ProductDeleted),
                _ => Ok(vec![]),
            },
            (_, Command::HoldSku { sku } | Command::HoldListedSku { sku }) => Err(Error::NoSuchVariant(sku)),
            (Self::Deleted { .. }, Command::Delete) => Ok(vec![]),
            (Self::Deleted { skus, released }, Command::ReleaseSku { sku }) => {
                if skus.contains(&sku) {
                    return Ok(vec![Event::ProductSkuReleased { sku }]);
                }
                if released.contains(&sku) { Ok(vec![]) } else { Err(Error::NoSuchVariant(sku)) }
            }
            (Self::Deleted { .. }, _) => Err(Error::ProductDeleted),
            (Self::Listed { .. }, Command::ReleaseSku { .. }) => Err(Error::ProductListed),
            (Self::Listed { .. }, Command::Create { .. }) => Err(Error::ProductExists),
            (Self::Listed { details: old, .. }, Command::Change { details }) if *old == details => Ok(vec![]),
            (Self::Listed { .. }, Command::Change { details }) => {
                Ok(vec![Event::ProductDetailsChanged { details }])
            }
            (Self::Listed { variants, .. }, Command::AddVariant { variant }) => {
                if variants.contains(&variant) {
                    return Ok(vec![]);
                }
                if variants.len() >= MOST_VARIANTS || variants.iter().any(|known| known.sku == variant.sku) {
                    return Err(Error::BadVariants);
                }
                if !variant.price.is_none_or(Money::is_price) {
                    return Err(Error::BadPrice);
                }
                Ok(vec![Event::ProductVariantAdded { variant }])
            }
            (Self::Listed { variants, .. }, Command::SetPrice { sku, price }) => {
                if !price.is_price() {
                    return Err(Error::BadPrice);
                }
                match variants.iter().find(|variant| variant.sku == sku) {
                    None => Err(Error::NoSuchVariant(sku)),
                    Some(variant) if variant.price == Some(price) => Ok(vec![]),
                    Some(_) => Ok(vec![Event::ProductPriceChanged { sku, price }]),
                }
            }
            (Self::Listed { .. }, Command::Delete) => Ok(vec![Event::ProductDeleted {}]),
        }
    }

    fn holds(&self, event: &Event) -> Vec<Hold> {
        let skus =
            |variants: &[Variant]| variants.iter().map(|v| v.sku.as_str().to_owned()).collect::<Vec<_>>();
        match (self, event) {
            (_, Event::ProductCreated { variants, .. }) => {
                vec![Hold { scope: scope::SKU, values: skus(variants) }]
            }
            (Self::Listed { variants, .. }, Event::ProductVariantAdded { variant }) => {
                let mut values = skus(variants);
                values.push(variant.sku.as_str().to_owned());
                vec![Hold { scope: scope::SKU, values }]
            }
            (Self::Deleted { skus, .. }, Event::ProductSkuReleased { sku }) => {
                let kept = skus.iter().filter(|held| *held != sku).map(|held| held.as_str().to_owned());
                vec![Hold { scope: scope::SKU, values: kept.collect() }]
            }
            // A SKU stays with its product, also when that is deleted, until somebody gives it back.
            _ => Vec::new(),
        }
    }
}

impl Product {
    pub(crate) fn evolve(&mut self, event: Event) {
        match (&mut *self, event) {
            (_, Event::ProductCreated { details, variants }) => *self = Self::Listed { details, variants },
            (Self::Listed { variants, .. }, Event::ProductDeleted {}) => {
                let skus = variants.drain(..).map(|variant| variant.sku).collect();
                *self = Self::Deleted { skus, released: Vec::new() };
            }
            (Self::Deleted { skus, released }, Event::ProductSkuReleased { sku }) => {
                skus.retain(|held| *held != sku);
                released.push(sku);
            }
            (Self::Listed { details, .. }, Event::ProductDetailsChanged { details: new }) => *details = new,
            (Self::Listed { variants, .. }, Event::ProductVariantAdded { variant }) => variants.push(variant),
            (Self::Listed { variants, .. }, Event::ProductPriceChanged { sku, price }) => {
                for variant in variants.iter_mut().filter(|variant| variant.sku == sku) {
                    variant.price = Some(price);
                }
            }
            (Self::Unknown | Self::Deleted { .. }, _)
            | (Self::Listed { .. }, Event::ProductSkuReleased { .. }) => {}
        }
    }

    /// The variant with that SKU, of a product that is listed.
    pub fn variant(&self, sku: &Sku) -> Option<&Variant> {
        match self {
            Self::Listed { variants, .. } => variants.iter().find(|variant| variant.sku == *sku),
            Self::Unknown | Self::Deleted { .. } => None,
        }
    }

    /// The SKUs that it holds, listed or deleted.
    pub fn skus(&self) -> Vec<&Sku> {
        match self {
            Self::Unknown => Vec::new(),
            Self::Listed { variants, .. } => variants.iter().map(|variant| &variant.sku).collect(),
            Self::Deleted { skus, .. } => skus.iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;
    use crate::Currency;
    use crate::golden::{Sample, gbp, sku};

    impl Sample for Event {
        fn sample(kind: EventKind) -> Self {
            let details = |name: &str, description: &str| Details {
                name: name.to_owned(),
                description: description.to_owned(),
                category: Some("Kitchen".to_owned()),
                attributes: BTreeMap::from([("colour".to_owned(), "red".to_owned())]),
            };
            match kind {
                EventKind::ProductCreated => Self::ProductCreated {
                    details: details("Mug", "It holds a third of a litre."),
                    variants: vec![
                        Variant { sku: sku("MUG-RED"), price: Some(gbp(1_299)) },
                        Variant { sku: sku("MUG-BLUE"), price: None },
                    ],
                },
                EventKind::ProductDetailsChanged => {
                    Self::ProductDetailsChanged { details: details("Large mug", "Half a litre.\nHeavy.") }
                }
                EventKind::ProductVariantAdded => Self::ProductVariantAdded {
                    variant: Variant { sku: sku("MUG-GREEN"), price: Some(gbp(1_399)) },
                },
                EventKind::ProductPriceChanged => {
                    Self::ProductPriceChanged { sku: sku("MUG-BLUE"), price: gbp(1_199) }
                }
                EventKind::ProductDeleted => Self::ProductDeleted {},
                EventKind::ProductSkuReleased => Self::ProductSkuReleased { sku: sku("MUG-BLUE") },
            }
        }
    }

    fn given(events: Vec<Event>) -> cqrs_es::test::AggregateTestExecutor<Product> {
        TestFramework::<Product>::with(Facts { now: crate::clock::now() }).given(events)
    }

    fn mug() -> Event {
        Event::ProductCreated {
            details: Details { name: "Mug".into(), ..Details::default() },
            variants: vec![variant("MUG", 500)],
        }
    }

    fn variant(sku: &str, amount: i64) -> Variant {
        Variant { sku: Sku::try_new(sku).unwrap(), price: Some(Money::new(amount, Currency::GBP)) }
    }

    #[test]
    fn a_price_changes_and_the_same_price_changes_nothing() {
        let sku = Sku::try_new("mug").unwrap();
        let price = Money::new(600, Currency::GBP);
        given(vec![mug()])
            .when(Command::SetPrice { sku: sku.clone(), price })
            .then_expect_events(vec![Event::ProductPriceChanged { sku: sku.clone(), price }]);
        given(vec![mug()])
            .when(Command::SetPrice { sku, price: Money::new(500, Currency::GBP) })
            .then_expect_events(vec![]);
    }

    #[test]
    fn two_attributes_of_one_name_are_refused() {
        let red = |name: &str| (name.to_owned(), "red".to_owned());
        let named =
            |attributes| Details::try_new(Details { name: "Mug".into(), attributes, ..Details::default() });
        for other in ["colour\u{200b} ", "Colour", "COLOUR"] {
            let refused = named(BTreeMap::from([red("colour"), red(other)])).unwrap_err();
            assert_eq!(refused, ("/attributes".to_owned(), crate::text::TextError::SameName), "{other}");
        }
        let one = named(BTreeMap::from([red("col\u{ad}our\u{a0}")])).unwrap();
        assert_eq!(one.attributes, BTreeMap::from([red("colour")]));
    }

    #[test]
    fn the_same_sku_twice_is_refused() {
        given(vec![mug()])
            .when(Command::AddVariant { variant: variant("MUG", 1) })
            .then_expect_error(Error::BadVariants);
    }

    #[test]
    fn a_negative_price_is_refused() {
        given(vec![mug()])
            .when(Command::SetPrice {
                sku: Sku::try_new("MUG").unwrap(),
                price: Money::new(-1, Currency::GBP),
            })
            .then_expect_error(Error::BadPrice);
    }

    /// So many variants, each at 1.00.
    fn variants(count: usize) -> Vec<Variant> {
        (0..count).map(|number| variant(&format!("MUG-{number}"), 100)).collect()
    }

    #[test]
    fn a_product_has_at_least_one_variant_and_at_most_the_maximum() {
        let create = |count| Command::Create { details: Details::default(), variants: variants(count) };
        let created =
            |count| Event::ProductCreated { details: Details::default(), variants: variants(count) };
        for count in [0, MOST_VARIANTS + 1] {
            given(vec![]).when(create(count)).then_expect_error(Error::BadVariants);
        }
        for count in [1, MOST_VARIANTS] {
            given(vec![]).when(create(count)).then_expect_events(vec![created(count)]);
        }
        let add = || Command::AddVariant { variant: variant("CUP", 1) };
        given(vec![created(MOST_VARIANTS - 1)])
            .when(add())
            .then_expect_events(vec![Event::ProductVariantAdded { variant: variant("CUP", 1) }]);
        given(vec![created(MOST_VARIANTS)]).when(add()).then_expect_error(Error::BadVariants);
        let twice = Command::Create {
            details: Details::default(),
            variants: vec![variant("MUG", 1), variant("CUP", 1), variant("MUG", 2)],
        };
        given(vec![]).when(twice).then_expect_error(Error::BadVariants);
    }

    #[test]
    fn a_price_is_between_nothing_and_the_maximum_wherever_it_is_given() {
        let sku = || Sku::try_new("MUG").unwrap();
        let create =
            |amount| Command::Create { details: Details::default(), variants: vec![variant("MUG", amount)] };
        let add = |amount| Command::AddVariant { variant: variant("CUP", amount) };
        let set = |amount| Command::SetPrice { sku: sku(), price: Money::new(amount, Currency::GBP) };
        for amount in [0, 100_000_000_000] {
            let (details, variants) = (Details::default(), vec![variant("MUG", amount)]);
            given(vec![])
                .when(create(amount))
                .then_expect_events(vec![Event::ProductCreated { details, variants }]);
            given(vec![mug()])
                .when(add(amount))
                .then_expect_events(vec![Event::ProductVariantAdded { variant: variant("CUP", amount) }]);
            let price = Money::new(amount, Currency::GBP);
            given(vec![mug()])
                .when(set(amount))
                .then_expect_events(vec![Event::ProductPriceChanged { sku: sku(), price }]);
        }
        for amount in [-1, 100_000_000_001] {
            given(vec![]).when(create(amount)).then_expect_error(Error::BadPrice);
            given(vec![mug()]).when(add(amount)).then_expect_error(Error::BadPrice);
            given(vec![mug()]).when(set(amount)).then_expect_error(Error::BadPrice);
        }
        let without = Variant { sku: Sku::try_new("CUP").unwrap(), price: None };
        given(vec![mug()])
            .when(Command::AddVariant { variant: without.clone() })
            .then_expect_events(vec![Event::ProductVariantAdded { variant: without }]);
    }

    #[test]
    fn equal_details_of_a_listed_product_change_nothing() {
        let Event::ProductCreated { details, .. } = mug() else { unreachable!() };
        given(vec![mug()]).when(Command::Change { details: details.clone() }).then_expect_events(vec![]);
        let other = Details { description: "It holds tea.".to_owned(), ..details };
        given(vec![mug()])
            .when(Command::Change { details: other.clone() })
            .then_expect_events(vec![Event::ProductDetailsChanged { details: other }]);
        given(vec![mug()])
            .when(Command::AddVariant { variant: variant("MUG", 500) })
            .then_expect_events(vec![]);
    }

    #[test]
    fn a_product_is_created_once_and_only_a_listed_one_changes() {
        let create = || Command::Create { details: Details::default(), variants: variants(1) };
        given(vec![mug()]).when(create()).then_expect_error(Error::ProductExists);
        given(vec![mug(), Event::ProductDeleted {}]).when(create()).then_expect_error(Error::ProductDeleted);
        given(vec![]).when(Command::Delete).then_expect_error(Error::ProductNotFound);
        given(vec![mug()]).when(Command::Delete).then_expect_events(vec![Event::ProductDeleted {}]);
        let pot = Sku::try_new("POT").unwrap();
        given(vec![mug()])
            .when(Command::SetPrice { sku: pot.clone(), price: Money::new(1, Currency::GBP) })
            .then_expect_error(Error::NoSuchVariant(pot));
    }

    #[test]
    fn the_variant_with_a_sku_is_found_while_the_product_is_listed() {
        let mut product = Product::default();
        let (mug_sku, cup_sku) = (Sku::try_new("MUG").unwrap(), Sku::try_new("CUP").unwrap());
        assert_eq!((product.variant(&mug_sku), product.skus()), (None, vec![]));
        product.evolve(mug());
        product.evolve(Event::ProductVariantAdded { variant: variant("CUP", 1) });
        assert_eq!(product.variant(&cup_sku), Some(&variant("CUP", 1)));
        assert_eq!(product.variant(&Sku::try_new("POT").unwrap()), None);
        assert_eq!(product.skus(), [&mug_sku, &cup_sku]);
        product.evolve(Event::ProductDeleted {});
        assert_eq!((product.variant(&cup_sku), product.skus()), (None, vec![&mug_sku, &cup_sku]));
    }

    #[test]
    fn a_deleted_product_gives_a_sku_back_once_and_keeps_the_others() {
        let added = Event::ProductVariantAdded { variant: variant("CUP", 1) };
        let release = |sku: &str| Command::ReleaseSku { sku: Sku::try_new(sku).unwrap() };
        let released = Event::ProductSkuReleased { sku: Sku::try_new("MUG").unwrap() };
        let deleted = || vec![mug(), added.clone(), Event::ProductDeleted {}];
        given(deleted()).when(release("mug")).then_expect_events(vec![released.clone()]);
        given(deleted()).and(vec![released.clone()]).when(release("MUG")).then_expect_events(vec![]);
        given(deleted())
            .when(release("SPOON"))
            .then_expect_error(Error::NoSuchVariant(Sku::try_new("SPOON").unwrap()));
        given(vec![mug()]).when(release("MUG")).then_expect_error(Error::ProductListed);
        given(vec![]).when(release("MUG")).then_expect_error(Error::ProductNotFound);
        let mut product = Product::default();
        for event in deleted() {
            product.evolve(event);
        }
        let holds = product.holds(&released);
        assert_eq!(holds, [Hold { scope: scope::SKU, values: vec!["CUP".to_owned()] }]);
        product.evolve(released);
        assert_eq!(product.skus(), [&Sku::try_new("CUP").unwrap()]);
    }

    #[test]
    fn a_product_holds_its_skus_listed_or_deleted_until_it_gives_them_back() {
        let hold = |sku: &str| Command::HoldSku { sku: Sku::try_new(sku).unwrap() };
        let released = Event::ProductSkuReleased { sku: Sku::try_new("MUG").unwrap() };
        let no_such = Error::NoSuchVariant(Sku::try_new("MUG").unwrap());
        given(vec![mug()]).when(hold("MUG")).then_expect_events(vec![]);
        given(vec![mug(), Event::ProductDeleted {}]).when(hold("MUG")).then_expect_events(vec![]);
        let given_back = vec![mug(), Event::ProductDeleted {}, released];
        given(given_back).when(hold("MUG")).then_expect_error(no_such);
        given(vec![]).when(hold("MUG")).then_expect_error(Error::ProductNotFound);
    }

    #[test]
    fn deleting_twice_is_deleting_once_and_nothing_else_follows() {
        given(vec![mug(), Event::ProductDeleted {}]).when(Command::Delete).then_expect_events(vec![]);
        given(vec![mug(), Event::ProductDeleted {}])
            .when(Command::Change { details: Details::default() })
            .then_expect_error(Error::ProductDeleted);
    }
}
