//! Into a store that this process owns, or shares with others on a server.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use sea_orm::ConnectionTrait as _;
use soonshop_domain::claim::scope;
use soonshop_domain::fulfilment::Fulfilment;
use soonshop_domain::ids::{GuestId, ProductId, UserId};
use soonshop_domain::inventory::{self, At, MAIN, Stock, StockPlace};
use soonshop_domain::order::credit_note::{self, CreditNote};
use soonshop_domain::order::{self, Contact, Customer, MOST_LINES, Order, Placement};
use soonshop_domain::process::ProcessManager as _;
use soonshop_domain::product::{self, Product, Variant};
use soonshop_domain::text::Sku;
use soonshop_domain::user::{self, User};
use soonshop_domain::{Actor, Channel, Currency, Decider, Metadata, Money};
use soonshop_event_log::checkpoint::of_process;
use soonshop_event_log::{Checkpoint, Db};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError};
use tokio::time::Instant;
use uuid::Uuid;

use super::plan::Sale;
use super::target::{BuyerId, REASON, RefusedOrder, Step, StepContent, StepOutcome, Target, owner};
use crate::{Shop, settle};

/// Commands under way: they are appended in batches.
const WIDTH: usize = 128;

/// How long the store may accept no command, or the followers make no progress, before the import gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// Commands that the reactor has to send, and events that it has to read, before orders wait for it.
const MOST_WAITING: i64 = 10_000;

pub(super) struct Local {
    shop: Shop,
    store: EventStore,
    process: Db,
    /// The listed products, by their code.
    goods: Mutex<HashMap<Sku, Listed>>,
    /// The registered users.
    users: Mutex<HashSet<Uuid>>,
}

#[derive(Clone)]
struct Listed {
    id: Uuid,
    name: String,
}

/// Why an order cannot even be put.
struct Unacceptable(String);

impl Local {
    pub(super) fn new(shop: &Shop, store: EventStore) -> anyhow::Result<Self> {
        let process = shop.store_database.namespace("process")?;
        Ok(Self { shop: shop.clone(), store, process, goods: Mutex::default(), users: Mutex::default() })
    }

    async fn context(&self, step: &Step<'_>) -> anyhow::Result<CommandContext> {
        let id = step.correlation();
        // A natural key has one command: later changes in the source do not count.
        let fingerprint = self.store.keys().fingerprint(&[b"import", id.as_bytes()]).await?;
        let actor = Actor::system("import");
        let metadata = Metadata {
            correlation_id: Some(id),
            command_type: Some(step.kind.command().to_owned()),
            actor_kind: Some(actor.kind),
            actor_id: Some(actor.id),
            channel: Some(Channel::Import),
            ..Metadata::default()
        };
        let mut context = CommandContext::new(id, fingerprint, metadata);
        context.occurred_at = step.at;
        context.import_key = step.import_key();
        Ok(context)
    }

    /// The stream that claimed the step's import key before.
    async fn imported(&self, step: &Step<'_>) -> anyhow::Result<Option<Uuid>> {
        let Some(key) = step.import_key() else { return Ok(None) };
        Ok(self.store.owner_of(scope::IMPORT, &key).await?.as_deref().and_then(owner))
    }

    async fn execute<A: Decider>(
        &self,
        step: &Step<'_>,
        id: Uuid,
        command: A::Command,
    ) -> anyhow::Result<StepOutcome> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(50);
        let error = loop {
            let context = self.context(step).await?;
            match Box::pin(self.store.execute::<A>(id, command.clone(), context)).await {
                Ok(done) if done.repeated => return Ok(StepOutcome::There(id)),
                Ok(_) => return Ok(StepOutcome::New(id)),
                Err(ExecuteError::Unavailable(reason)) => {
                    if began.elapsed() > PATIENCE {
                        bail!("the event store has taken nothing for a minute: {reason}");
                    }
                    tracing::warn!(reason, "the event store did not take a command; it is given again");
                }
                Err(ExecuteError::Fault(reason)) => bail!("{} {}: {reason}", step.kind.name(), step.key),
                Err(error) => break error,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        };
        if let Some(id) = self.imported(step).await? {
            return Ok(StepOutcome::There(id));
        }
        Ok(match &error {
            // A product with this code that another client created.
            ExecuteError::Taken { scope, owner: other } if scope == scope::SKU => {
                owner(other).map_or_else(|| StepOutcome::Refused(error.to_string()), StepOutcome::There)
            }
            ExecuteError::Rejected(rejection) => {
                StepOutcome::Refused(format!("{}: {error}", rejection.as_ref()))
            }
            error => StepOutcome::Refused(error.to_string()),
        })
    }

    async fn list(
        &self,
        step: &Step<'_>,
        sku: &Sku,
        name: &str,
        pence: Option<i64>,
    ) -> anyhow::Result<StepOutcome> {
        let details = product::Details { name: name.to_owned(), ..product::Details::default() };
        let variants = vec![Variant { sku: sku.clone(), price: pence.map(pounds) }];
        let command = product::Command::Create { details, variants };
        let given = self.execute::<Product>(step, step.key, command).await?;
        let (id, name) = match given {
            StepOutcome::New(id) => (id, Some(name.to_owned())),
            StepOutcome::There(id) => {
                // Another product may have the SKU since, where it was given back.
                let holder = self.store.owner_of(scope::SKU, sku.as_str()).await?;
                let id = holder.as_deref().and_then(owner).unwrap_or(id);
                match self.store.load::<Product>(id).await?.0 {
                    product @ Product::Listed { .. } if product.variant(sku).is_none() => (id, None),
                    Product::Listed { details, .. } => (id, Some(details.name)),
                    Product::Unknown | Product::Deleted { .. } => (id, None),
                }
            }
            StepOutcome::Refused(_) => return Ok(given),
        };
        if let Some(name) = name {
            self.goods
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(sku.clone(), Listed { id, name });
        }
        Ok(given)
    }

    async fn register(&self, step: &Step<'_>, country: &str) -> anyhow::Result<StepOutcome> {
        let details = user::Details { country: Some(country.to_owned()), ..user::Details::default() };
        let given = self.execute::<User>(step, step.key, user::Command::Register { details }).await?;
        let id = match given {
            StepOutcome::New(id) => Some(id),
            StepOutcome::There(id) => {
                let (user, _) = self.store.load::<User>(id).await?;
                matches!(user, User::Active { .. }).then_some(id)
            }
            StepOutcome::Refused(_) => None,
        };
        self.users.lock().unwrap_or_else(PoisonError::into_inner).extend(id);
        Ok(given)
    }

    async fn stock(
        &self,
        step: &Step<'_>,
        sku: &Sku,
        command: inventory::Command,
    ) -> anyhow::Result<StepOutcome> {
        // A claim separates streams, and all changes of one stock share a stream, so the claim is checked here.
        if let Some(id) = self.imported(step).await? {
            return Ok(StepOutcome::There(id));
        }
        let place = StockPlace { sku: sku.clone(), location: MAIN.to_owned() };
        self.execute::<Stock>(step, inventory::stream(sku, MAIN), At { place, command }).await
    }

    /// The placement of an order or credit note, with the current product names.
    fn placement(&self, sale: &Sale, by: BuyerId) -> Result<Placement, Unacceptable> {
        let customer = match by {
            BuyerId::Guest(id) => Customer::Guest(GuestId(id)),
            BuyerId::User(id) if self.users.lock().unwrap_or_else(PoisonError::into_inner).contains(&id) => {
                Customer::User(UserId(id))
            }
            BuyerId::User(_) => {
                return Err(Unacceptable("unknown-customer: the user does not exist any more".to_owned()));
            }
        };
        if sale.lines.len() > MOST_LINES {
            return Err(Unacceptable(format!("bad-lines: it has more than {MOST_LINES} lines")));
        }
        let goods = self.goods.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = (1..).zip(&sale.lines).map(|(number, line)| {
            let unsold =
                || Unacceptable(format!("sku-not-sold: no product has the code {} any more", line.sku));
            let Listed { id, name } = goods.get(&line.sku).cloned().ok_or_else(unsold)?;
            Ok(order::Line {
                number,
                sku: line.sku.clone(),
                product_id: ProductId(id),
                name,
                quantity: line.quantity,
                price: pounds(line.pence),
            })
        });
        Ok(Placement {
            number: sale.number(),
            customer,
            lines: lines.collect::<Result<_, _>>()?,
            country: sale.country.clone(),
            contact: Contact::default(),
        })
    }

    async fn sell(
        &self,
        step: &Step<'_>,
        sale: &Sale,
        by: BuyerId,
        credit: bool,
    ) -> anyhow::Result<StepOutcome> {
        let placement = match self.placement(sale, by) {
            Ok(placement) => placement,
            Err(Unacceptable(reason)) => {
                return Ok(self
                    .imported(step)
                    .await?
                    .map_or(StepOutcome::Refused(reason), StepOutcome::There));
            }
        };
        if !credit {
            return self.execute::<Order>(step, step.key, order::Command::Place(placement)).await;
        }
        let Placement { number, customer, lines, country, .. } = placement;
        let issue = credit_note::Command::Issue { number, customer, lines, country };
        self.execute::<CreditNote>(step, step.key, issue).await
    }

    /// How far the stock process is behind: its unsent commands, and its unread events.
    async fn waiting(&self) -> anyhow::Result<(i64, i64)> {
        let (db, process) = (&self.process, Fulfilment::NAME);
        let sql = "SELECT count(*) FROM @outbox WHERE process = $1";
        let row = db.connection.query_one(db.statement(sql, [process.into()])).await?;
        let unsent = row.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(0);
        let at = Checkpoint::load(db, &db.connection, &of_process(process)).await?;
        let head = self.store.log().head().await?.position;
        Ok((unsent, head - at.map_or(0, |(checkpoint, _)| checkpoint.position)))
    }
}

fn pounds(pence: i64) -> Money {
    Money::new(pence, Currency::GBP)
}

impl Target for Local {
    fn width(&self) -> usize {
        WIDTH
    }

    async fn give(&self, step: &Step<'_>) -> anyhow::Result<StepOutcome> {
        match step.what {
            StepContent::Product { sku, name, pence } => self.list(step, sku, name, pence).await,
            StepContent::Price { product, sku, pence } => {
                let command = product::Command::SetPrice { sku: sku.clone(), price: pounds(pence) };
                self.execute::<Product>(step, product, command).await
            }
            StepContent::Customer { country } => self.register(step, country).await,
            StepContent::Receipt { sku, quantity } => {
                self.stock(step, sku, inventory::Command::Receive { quantity }).await
            }
            StepContent::Adjustment { sku, quantity } => {
                let command = inventory::Command::Adjust { quantity, reason: REASON.to_owned() };
                self.stock(step, sku, command).await
            }
            StepContent::Order { sale, by } => self.sell(step, sale, by, false).await,
            StepContent::CreditNote { sale, by } => self.sell(step, sale, by, true).await,
        }
    }

    async fn lacks_price(&self, product: Uuid, sku: &Sku) -> anyhow::Result<bool> {
        let (product, _) = self.store.load::<Product>(product).await?;
        Ok(product.variant(sku).is_some_and(|variant| variant.price.is_none()))
    }

    async fn room(&self) -> anyhow::Result<()> {
        let (mut before, mut since) = ((0, 0), Instant::now());
        loop {
            let waiting = self.waiting().await?;
            if waiting.0 < MOST_WAITING && waiting.1 < MOST_WAITING {
                return Ok(());
            }
            if waiting != before {
                (before, since) = (waiting, Instant::now());
            } else if since.elapsed() > PATIENCE {
                bail!("no stock has been reserved for a minute: `soonshop doctor` says what is wrong");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn finish(&self) -> anyhow::Result<()> {
        settle::settle(&self.shop, PATIENCE).await
    }

    async fn head(&self) -> anyhow::Result<i64> {
        Ok(self.store.log().head().await?.position)
    }

    async fn refused_since(&self, position: i64) -> anyhow::Result<Vec<RefusedOrder>> {
        let registry = self.shop.registry()?;
        let Some(generation) = registry.active("orders").await? else { return Ok(Vec::new()) };
        let db = generation.db(registry.database())?;
        let sql = "SELECT id, number, CAST(refusal AS TEXT) FROM @orders WHERE status = 'refused' AND position > $1 \
                   ORDER BY position";
        let rows = db.connection.query_all(db.statement(sql, [position.into()])).await?;
        let refused = rows.iter().map(|row| {
            let (id, refusal): (String, Option<String>) =
                (row.try_get_by_index(0)?, row.try_get_by_index(2)?);
            let refusal = refusal.and_then(|json| serde_json::from_str(&json).ok());
            Ok(RefusedOrder::new(&id, row.try_get_by_index(1)?, refusal.as_ref()))
        });
        refused.collect()
    }
}
