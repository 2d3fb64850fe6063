//! Sample data: a small shop to look at. Done twice, it changes nothing.

use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace};
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::{self, User};
use soonshop_domain::{Actor, Channel, Currency, Metadata, Money, ids};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};

/// SKU, name, description, category, colour, pence, units.
const GOODS: &[(&str, &str, &str, &str, &str, i64, u32)] = &[
    (
        "MUG-01",
        "Stoneware mug",
        "A heavy mug that keeps tea warm. Dishwasher safe.",
        "kitchen",
        "blue",
        1250,
        120,
    ),
    ("MUG-02", "咖啡杯", "手工陶瓷咖啡杯，300毫升。", "kitchen", "white", 1450, 80),
    (
        "CANDLE-01",
        "Beeswax candles, set of four",
        "Slow burning, with a smell of honey.",
        "home",
        "yellow",
        990,
        200,
    ),
    ("LAMP-01", "Reading lamp", "Brass, with a linen shade and a long cable.", "home", "brass", 8900, 15),
    (
        "BAG-01",
        "Canvas shopping bag",
        "Carries twenty kilograms and folds into a pocket.",
        "bags",
        "natural",
        1800,
        60,
    ),
    ("BAG-02", "Jumbo bag, red retrospot", "The bag that everybody asks for.", "bags", "red", 208, 500),
    ("DRESS-01", "红色连衣裙", "夏季棉质连衣裙，轻薄透气。", "clothing", "red", 4900, 25),
    (
        "TEE-01",
        "Café tee shirt",
        "Organic cotton; says café in small letters.",
        "clothing",
        "black",
        2200,
        40,
    ),
    ("NOTE-01", "Dotted notebook", "A5, 160 pages, lies flat.", "paper", "green", 1100, 150),
    ("PEN-01", "Fountain pen", "Steel nib, fine. Comes with a converter.", "paper", "black", 3400, 30),
];

/// Products with stock, and two users.
pub async fn seed(store: &EventStore) -> anyhow::Result<()> {
    for (sku, name, description, category, colour, price, units) in GOODS {
        let sku = Sku::try_new(sku)?;
        let details = product::Details {
            name: (*name).to_owned(),
            description: (*description).to_owned(),
            category: Some((*category).to_owned()),
            attributes: [("colour".to_owned(), (*colour).to_owned())].into(),
        };
        let variants = vec![Variant { sku: sku.clone(), price: Some(Money::new(*price, Currency::GBP)) }];
        let id = ids::derived(ids::STREAMS, &["sample", sku.as_str()]);
        let context = context(store, "product.create", sku.as_str()).await?;
        done(store.execute::<Product>(id, product::Command::Create { details, variants }, context).await)?;
        let place = StockPlace { sku: sku.clone(), location: MAIN.to_owned() };
        let at = At { place, command: inventory::Command::Receive { quantity: *units } };
        let context = self::context(store, "stock.receive", sku.as_str()).await?;
        done(store.execute::<Stock>(inventory::stream(&sku, MAIN), at, context).await)?;
    }
    for (number, name, email, country) in [
        ("1", "Ada Lovelace", "ada@example.com", "United Kingdom"),
        ("2", "李伟", "liwei@example.com", "China"),
    ] {
        let id = ids::derived(ids::STREAMS, &["sample-user", number]);
        let details = user::Details::try_new(id, Some(name), Some(email), None, Some(country))
            .map_err(|(field, error)| anyhow::anyhow!("{field}: {error}"))?;
        let context = context(store, "user.register", number).await?;
        done(store.execute::<User>(id, user::Command::Register { details }, context).await)?;
    }
    Ok(())
}

async fn context(store: &EventStore, command: &str, key: &str) -> anyhow::Result<CommandContext> {
    let id = ids::derived(ids::PROCESSES, &["seed", command, key]);
    let fingerprint = store.keys().fingerprint(&[b"seed", command.as_bytes(), key.as_bytes()]).await?;
    let actor = Actor::system("seed");
    let metadata = Metadata {
        correlation_id: Some(ids::derived(ids::PROCESSES, &["seed"])),
        command_type: Some(command.to_owned()),
        actor_kind: Some(actor.kind),
        actor_id: Some(actor.id),
        channel: Some(Channel::Cli),
        ..Metadata::default()
    };
    Ok(CommandContext::new(id, fingerprint, metadata))
}

/// Existing data stays as it is.
fn done<T, E: std::error::Error + Send + Sync + 'static>(
    outcome: Result<T, ExecuteError<E>>,
) -> anyhow::Result<()> {
    match outcome {
        Ok(_) | Err(ExecuteError::Taken { .. } | ExecuteError::Rejected(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
