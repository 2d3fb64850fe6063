//! Asks providers of payments for what was requested: a worker of the reactor role. It acts on `…Requested` after it was
//! appended, with the transaction's id as the provider's key, and appends what the provider says. What it does not know
//! it says, and asks about again. Killed anywhere, it repeats what it did, which changes nothing.
//!
//! It also does what follows at once: charges what is to be charged at once, and gives back what an order that was
//! cancelled or refused no longer owes. The order limits both.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use soonshop_domain::checkout::{self, Checkout};
use soonshop_domain::ids::{self, OrderId};
use soonshop_domain::order::{self, Order};
use soonshop_domain::payment::{self, Capture, Kind, Payment};
use soonshop_domain::{Actor, Channel, Decider as _, Event, Facts, Metadata, Money, clock};
use soonshop_event_log::follow::{LogSource, Next, Wait, Work, follow_noted};
use soonshop_event_log::{Checkpoint, Db, Error, Fence, Lease, Leases, RecordedEvent, Stopped, StoredEvent};
use soonshop_event_store::{CommandContext, EventStore, ExecuteError, Executed};
use soonshop_payments::Provider;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::questions::{MOST, Question, Questions};

mod asking;

/// The name of its lease and checkpoint, and of its actor, `system:payments`.
pub const NAME: &str = "payments";

/// How often the log is polled when nothing in this process appends, and questions are looked for.
const IDLE: Duration = Duration::from_millis(250);

/// How long a provider may take to answer.
pub const LIMIT: Duration = Duration::from_secs(20);

/// The most events that are read at once.
const PAGE: usize = 500;

/// The events of an order that say something about its payments: with the first two it owes nothing any more.
const OF_ORDERS: [&str; 3] = ["OrderCancelled", "OrderRefused", "OrderPaymentAdded"];

/// The worker.
pub struct Payments {
    pub store: EventStore,
    /// The namespace `process`.
    pub process: Db,
    pub questions: Questions,
    pub providers: Vec<Arc<dyn Provider>>,
    /// How long each of them may take to answer.
    pub limit: Duration,
    pub holder: String,
}

/// The worker under one lease.
struct Paying<'a> {
    payments: &'a Payments,
    source: LogSource,
    fence: Fence,
    at: Checkpoint,
    /// When questions are looked for again.
    look_at: Instant,
}

#[async_trait]
impl Work for Paying<'_> {
    type Source = LogSource;

    fn name(&self) -> &str {
        NAME
    }

    fn source(&mut self) -> &mut LogSource {
        &mut self.source
    }

    fn place(&self) -> Option<(Checkpoint, usize)> {
        Some((self.at.clone(), PAGE))
    }

    async fn work(&mut self, rows: Vec<StoredEvent>) -> Result<Next, Stopped> {
        // Not with each event of the log: most say nothing about payments.
        if Instant::now() >= self.look_at {
            let next = Instant::now() + IDLE;
            if self.payments.ask_again().await? < MOST {
                self.look_at = next;
            }
        }
        if rows.is_empty() {
            return Ok(Next::Wait(Wait::steady(IDLE).or_news_of(self.at.position + 1)));
        }
        let (mut passed, mut unknown) = (None, None);
        for row in rows {
            let at = Checkpoint::at(row.position, row.event_id);
            let of_order = row.aggregate_type == "order" && OF_ORDERS.contains(&&*row.event_type);
            if row.aggregate_type == "payment" || of_order {
                match self.payments.store.log().decode_row(row) {
                    Some(Ok(event)) => self.payments.follow(event).await?,
                    Some(Err(reason)) => {
                        unknown = Some(Stopped::UnknownEvent { position: at.position, reason });
                        break;
                    }
                    None => {}
                }
            }
            passed = Some(at);
        }
        if let Some(passed) = passed {
            self.fence.advance(&self.payments.process.connection, &self.at, &passed).await?;
            self.at = passed;
        }
        unknown.map_or(Ok(Next::Read), Err)
    }
}

/// An event as the cause of what is done because of it.
struct Cause {
    event: Uuid,
    because: Metadata,
}

impl Payments {
    /// Works until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let leases = Leases::new(self.process.clone(), self.holder.clone());
        follow_noted(&leases, NAME, &stop, |lease| Box::pin(self.begin(lease))).await;
    }

    async fn begin(&self, lease: Lease) -> Result<Paying<'_>, Stopped> {
        let (fence, at) = Fence::begin(&self.process, NAME, &lease).await?;
        let source = LogSource::new(self.store.log().clone(), self.store.appended());
        Ok(Paying { payments: self, source, fence, at, look_at: Instant::now() })
    }

    async fn follow(&self, recorded: RecordedEvent) -> Result<(), Stopped> {
        let cause = Cause { event: recorded.event_id, because: recorded.metadata()? };
        match &recorded.event {
            Event::Payment(event) => self.follow_payment(&recorded, event, &cause).await,
            Event::Order(order::Event::OrderCancelled { .. } | order::Event::OrderRefused { .. }) => {
                self.settle(recorded.stream, &cause).await
            }
            // Of a checkout that became an order, what was authorized is charged now.
            Event::Order(order::Event::OrderPaymentAdded { payment: id, .. }) => {
                let payment = self.payment(*id).await?;
                match payment.authorization().filter(|(_, one)| one.progress.is_done()) {
                    Some((transaction, _)) => {
                        let order_id = OrderId(recorded.stream);
                        self.charge_at_once(*id, order_id, transaction, &cause).await
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    async fn follow_payment(
        &self,
        recorded: &RecordedEvent,
        event: &payment::Event,
        cause: &Cause,
    ) -> Result<(), Stopped> {
        use payment::Event as E;
        let (id, order_id) = (recorded.stream, event.order_id());
        match event {
            E::AuthorizationRequested { transaction, .. }
            | E::ChargeRequested { transaction, .. }
            | E::ReleaseRequested { transaction, .. }
            | E::RefundRequested { transaction, .. } => {
                let at = Some(recorded.recorded_at);
                let question = self.questions.begin(*transaction, id, at).await?;
                self.put(&question, cause).await
            }
            E::PaymentStopRequested { .. } => self.cancel(id, cause).await,
            E::AuthorizationSucceeded { transaction, .. } => {
                self.charge_at_once(id, order_id, *transaction, cause).await
            }
            // Another card can be tried.
            E::AuthorizationFailed { .. } | E::AuthorizationLapsed { .. } => {
                self.tell(id, payment::Command::Stop { order_id }, cause).await.map(drop)
            }
            E::ChargeSucceeded { .. } => {
                self.stop_if_spent(id, order_id, cause).await?;
                self.settle(order_id.0, cause).await
            }
            E::ChargeFailed { .. } => self.charge_failed(id, order_id, cause).await,
            E::ReleaseSucceeded { .. } => self.stop_if_spent(id, order_id, cause).await,
            E::ReleaseFailed { transaction, .. } => {
                self.give_back_later(id, Kind::Release, *transaction).await
            }
            E::RefundFailed { transaction, .. } => self.give_back_later(id, Kind::Refund, *transaction).await,
            // An order pays back so much at once, and no more.
            E::RefundSucceeded { .. } => self.settle(order_id.0, cause).await,
            E::AuthorizationActionRequired { transaction, .. }
            | E::AuthorizationDeclined { transaction, .. }
            | E::AuthorizationUnknown { transaction, .. }
            | E::ChargeUnknown { transaction, .. }
            | E::ReleaseUnknown { transaction, .. }
            | E::RefundUnknown { transaction, .. } => Ok(self.questions.ask(*transaction, id).await?),
            E::PaymentOpened { .. } | E::PaymentNoted { .. } | E::PaymentClosed { .. } => Ok(()),
        }
    }

    /// Charges what was authorized, if it is to be charged at once. Where the order no longer wants it, it goes back.
    async fn charge_at_once(
        &self,
        id: Uuid,
        order_id: OrderId,
        authorization: Uuid,
        cause: &Cause,
    ) -> Result<(), Stopped> {
        let (payment, order) = (self.payment(id).await?, self.order(order_id.0).await?);
        let Some(opened) = &payment.opened else { return Ok(()) };
        // A checkout charges nothing.
        if order.placed.is_none()
            || payment.gives_back()
            || (opened.capture == Capture::Later && order.is_charged())
        {
            return Ok(());
        }
        let transaction = ids::derived(authorization, &["charge"]);
        let amount = order.chargeable().min(payment.left(Kind::Charge));
        let charge = payment::Command::Request {
            kind: Kind::Charge,
            transaction,
            amount: Money::new(amount, opened.amount.currency),
        };
        if payment.transactions.contains_key(&transaction)
            || (amount > 0 && self.tell(id, charge, cause).await?)
        {
            return Ok(());
        }
        self.tell(id, payment::Command::Stop { order_id }, cause).await.map(drop)
    }

    /// What can charge nothing more keeps nothing open, and room for another payment is made.
    async fn stop_if_spent(&self, id: Uuid, order_id: OrderId, cause: &Cause) -> Result<(), Stopped> {
        let payment = self.payment(id).await?;
        // Also where staff closed it meanwhile: its order has to hear of it.
        if payment.is_spent() && !payment.stopped {
            self.tell(id, payment::Command::Stop { order_id }, cause).await?;
        }
        Ok(())
    }

    /// Another card can be tried; what an order that was cancelled meanwhile no longer owes goes back.
    async fn charge_failed(&self, id: Uuid, order_id: OrderId, cause: &Cause) -> Result<(), Stopped> {
        let at_once = |opened: payment::Opened| opened.capture == Capture::AtOnce;
        if self.payment(id).await?.opened.is_some_and(at_once) {
            self.tell(id, payment::Command::Stop { order_id }, cause).await?;
        }
        self.settle(order_id.0, cause).await
    }

    async fn give_back_later(&self, id: Uuid, kind: Kind, transaction: Uuid) -> Result<(), Stopped> {
        let failures = self.payment(id).await?.failures(kind);
        Ok(self.questions.ask_after(transaction, id, failures).await?)
    }

    /// What could not be given back is asked for again. After so many failures staff have to see to it.
    async fn give_back_again(
        &self,
        payment: &Payment,
        question: &Question,
        cause: &Cause,
    ) -> Result<(), Stopped> {
        let (id, transaction) = (question.payment, question.transaction);
        let (Some(one), Some(order_id)) = (payment.transactions.get(&transaction), payment.order_id) else {
            return Ok(());
        };
        if payment.failures(one.kind) >= payment::MOST_TRIES {
            tracing::error!(payment = %id, %transaction, "what cannot be given back is asked for no more: staff have to");
            return self.note(id, transaction, "not-given-back", cause).await;
        }
        if one.by_itself || (one.kind == Kind::Release && payment.gives_back()) {
            return self.tell(id, payment::Command::TryAgain { transaction }, cause).await.map(drop);
        }
        self.settle(order_id.0, cause).await
    }

    /// Staff see it in the payment.
    async fn note(&self, id: Uuid, transaction: Uuid, code: &str, cause: &Cause) -> Result<(), Stopped> {
        let note = payment::Command::Note { transaction, code: code.to_owned() };
        self.tell(id, note, cause).await.map(drop)
    }

    /// An order that was cancelled or refused owes nothing: what is open is released, what was charged is paid back.
    async fn settle(&self, order_id: Uuid, cause: &Cause) -> Result<(), Stopped> {
        let order = self.order(order_id).await?;
        if order.is_charged() {
            return Ok(());
        }
        for (id, part) in &order.payments.all {
            if !part.stopped {
                self.tell(*id, payment::Command::Stop { order_id: OrderId(order_id) }, cause).await?;
            }
            let (payment, order) = (self.payment(*id).await?, self.order(order_id).await?);
            let amount = order.repayable_of(*id).min(payment.left(Kind::Refund));
            let is_due = amount > 0 && payment.failures(Kind::Refund) < payment::MOST_TRIES;
            let Some(opened) = payment.opened.filter(|_| is_due) else { continue };
            let refund = payment::Command::Request {
                kind: Kind::Refund,
                transaction: ids::derived(cause.event, &["repayment", &id.to_string()]),
                amount: Money::new(amount, opened.amount.currency),
            };
            self.tell(*id, refund, cause).await?;
        }
        Ok(())
    }

    /// Has the payment decide, and its order with it where the order has a say. False: one of them refused.
    async fn tell(&self, id: Uuid, command: payment::Command, cause: &Cause) -> Result<bool, Stopped> {
        loop {
            let (payment, version) = self.store.load::<Payment>(id).await.map_err(unavailable)?;
            let events = match payment.decide(command.clone(), &Facts { now: clock::now() }) {
                Ok(events) if events.is_empty() => return Ok(true),
                Ok(events) => events,
                Err(refusal) => {
                    let code = refusal.as_ref();
                    if matches!(command, payment::Command::Report(_)) {
                        tracing::warn!(payment = %id, code, "what a provider reports is refused");
                    } else {
                        tracing::debug!(payment = %id, code, "a payment refused");
                    }
                    return Ok(false);
                }
            };
            // Both are decided at this version, so what is the order's is so in the append as well.
            let context = CommandContext { expected: Some(version), ..self.context(&command, cause).await? };
            let done = self.decide(id, (&payment, &events), command.clone(), context).await?;
            match done {
                Ok(_) => return Ok(true),
                // It changed, or became an order, which decides now, since it was looked at.
                Err(
                    ExecuteError::Stale { .. }
                    | ExecuteError::Rejected(payment::Error::Checkout(checkout::Error::Ended(
                        checkout::Status::Completed,
                    ))),
                ) => {}
                Err(ExecuteError::Rejected(refusal)) => {
                    tracing::info!(payment = %id, code = refusal.as_ref(), "a payment or its order refused");
                    return Ok(false);
                }
                Err(error @ (ExecuteError::Unavailable(_) | ExecuteError::Fault(_))) => {
                    return Err(unavailable(error));
                }
                // It would be refused each time: the other payments go on.
                Err(error) => {
                    tracing::error!(payment = %id, %error, "a payment is stuck: staff have to see to it");
                    return Ok(false);
                }
            }
        }
    }

    /// Executes it together with the order of the payment, or with its checkout while there is no order: they decide in the same
    /// append.
    async fn decide(
        &self,
        id: Uuid,
        (payment, events): (&Payment, &[payment::Event]),
        command: payment::Command,
        context: CommandContext,
    ) -> Result<Result<Executed, ExecuteError<payment::Error>>, Stopped> {
        let first = (id, command);
        let Some(order_id) = payment.order_id else {
            return Ok(self.store.execute::<Payment>(id, first.1, context).await);
        };
        if self.is_placed(order_id.0).await? {
            let Some(of_order) = payment.of_order(id, events) else {
                return Ok(self.store.execute::<Payment>(id, first.1, context).await);
            };
            let second = (order_id.0, of_order);
            let joined = self.store.execute_joined::<Payment, Order>(first, second, context, Into::into);
            return Ok(Box::pin(joined).await);
        }
        let Some(of_checkout) = payment.of_checkout(id, events) else {
            return Ok(self.store.execute::<Payment>(id, first.1, context).await);
        };
        let second = (order_id.0, of_checkout);
        let joined = self.store.execute_joined::<Payment, Checkout>(first, second, context, Into::into);
        Ok(Box::pin(joined).await)
    }

    async fn is_placed(&self, order_id: Uuid) -> Result<bool, Stopped> {
        Ok(self.order(order_id).await?.placed.is_some())
    }

    /// Each attempt is a command of its own: the payment knows by itself what it was told before.
    async fn context(&self, command: &payment::Command, cause: &Cause) -> Result<CommandContext, Stopped> {
        let kind = match command {
            payment::Command::Open(_) => "payment.open",
            payment::Command::Stop { .. } | payment::Command::StopUnpaid { .. } => "payment.stop",
            payment::Command::Request { .. } => "payment.request",
            payment::Command::GiveBack { .. } => "payment.give-back",
            payment::Command::Note { .. } => "payment.note",
            payment::Command::TryAgain { .. } => "payment.try-again",
            payment::Command::Report(_) => "payment.report",
            payment::Command::Close => "payment.close",
        };
        let (actor, id) = (Actor::system(NAME), ids::new());
        let fingerprint = self.store.keys().fingerprint(&[NAME.as_bytes(), id.as_bytes()]).await?;
        let because = &cause.because;
        let metadata = Metadata {
            correlation_id: because.correlation_id,
            causation_id: because.correlation_id.map(|_| cause.event),
            command_type: Some(kind.to_owned()),
            actor_kind: Some(actor.kind),
            actor_id: Some(actor.id),
            on_behalf_of: because
                .on_behalf_of
                .clone()
                .or_else(|| because.actor().map(|actor| actor.to_string())),
            channel: Some(Channel::Process),
            traceparent: because.traceparent.clone(),
            ..Metadata::default()
        };
        Ok(CommandContext::new(id, fingerprint, metadata))
    }

    async fn payment(&self, id: Uuid) -> Result<Payment, Stopped> {
        Ok(self.store.load::<Payment>(id).await.map_err(unavailable)?.0)
    }

    async fn order(&self, id: Uuid) -> Result<Order, Stopped> {
        Ok(self.store.load::<Order>(id).await.map_err(unavailable)?.0)
    }
}

fn unavailable(error: impl std::fmt::Display) -> Stopped {
    Stopped::Log(Error::Unavailable(error.to_string()))
}
