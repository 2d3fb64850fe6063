//! Asks a provider until it is known what became of a transaction. As long as the provider knows the keys of requests,
//! what it never heard of is sent again, which does it once; after that it is only looked for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use soonshop_domain::payment::{self, Kind, Outcome, Payment, Progress, Report};
use soonshop_domain::{Metadata, Money};
use soonshop_event_log::{Error, Stopped};
use soonshop_payments::{Order as Asked, Provider, Unanswered};
use uuid::Uuid;

use super::{Cause, Payments};
use crate::questions::Question;

/// So long before a provider forgets a key, nothing is sent under it any more: clocks and networks are late.
const MARGIN: Duration = Duration::from_hours(1);

/// How often a provider has to say that it never heard of something before that is believed.
const MOST_MISSING: i64 = 3;

/// How a question is put to the provider.
enum Way {
    /// Nothing more is to be taken.
    Cancel,
    /// For the first time, or again under the same key.
    Send,
    /// It was sent.
    Find { then_send: bool },
}

impl Payments {
    /// Nothing more is to be taken under an authorization that has not succeeded, even if it is said to have failed.
    pub(super) async fn cancel(&self, id: Uuid, cause: &Cause) -> Result<(), Stopped> {
        let payment = self.payment(id).await?;
        let Some((transaction, _)) = payment.authorization().filter(|(_, one)| !one.progress.is_done())
        else {
            return Ok(());
        };
        let question = self.questions.begin(transaction, id, None).await?;
        self.put(&question, cause).await
    }

    /// Asks again about what nobody knows yet; returns how many questions it was time for.
    pub(super) async fn ask_again(&self) -> Result<usize, Stopped> {
        let due = self.questions.due().await?;
        let count = due.len();
        for question in due {
            let payment = self.payment(question.payment).await?;
            if payment.opened.is_some() && self.provider(&payment).is_none() {
                tracing::error!(payment = %question.payment, "the provider of a payment is not set: it waits");
                self.questions.later(&question, false).await?;
                continue;
            }
            let cause = Cause { event: question.transaction, because: Metadata::default() };
            self.put(&question, &cause).await?;
        }
        Ok(count)
    }

    /// Puts a question: its answer is reported, and without an end it is put again later.
    pub(super) async fn put(&self, question: &Question, cause: &Cause) -> Result<(), Stopped> {
        let (id, transaction) = (question.payment, question.transaction);
        let payment = self.payment(id).await?;
        let Some(one) = payment.transactions.get(&transaction) else {
            return Ok(self.questions.answered(transaction).await?);
        };
        if one.progress == Progress::Failed && matches!(one.kind, Kind::Release | Kind::Refund) {
            self.give_back_again(&payment, question, cause).await?;
            return Ok(self.questions.answered(transaction).await?);
        }
        let cancels = one.kind == Kind::Authorization && payment.gives_back() && !one.progress.is_done();
        if !one.progress.is_pending() && !cancels {
            return Ok(self.questions.answered(transaction).await?);
        }
        let (provider, asked) = self.asked(&payment, transaction)?;
        let answer = self.answer(provider, &asked, way(question, cancels, provider.keeps_keys())).await;
        let (outcome, missing) = match answer {
            Ok(Some(outcome)) => (outcome, false),
            Ok(None) if question.missing + 1 >= MOST_MISSING => {
                (Outcome::Failed { code: "never-asked".to_owned() }, true)
            }
            Ok(None) => (Outcome::Unknown, true),
            Err(Unanswered(code)) => {
                tracing::warn!(%transaction, code, "a provider gave no answer: it is asked again");
                (Outcome::Unknown, false)
            }
        };
        let is_end = ends(&outcome, asked.kind);
        if self.report(id, &asked, outcome, cause).await? && is_end {
            return Ok(self.questions.answered(transaction).await?);
        }
        Ok(self.questions.later(question, missing).await?)
    }

    async fn answer(
        &self,
        provider: &dyn Provider,
        asked: &Asked,
        way: Way,
    ) -> Result<Option<Outcome>, Unanswered> {
        match way {
            Way::Cancel => self.in_time(provider.cancel(asked)).await.map(Some),
            Way::Send => self.in_time(provider.ask(asked)).await.map(Some),
            Way::Find { then_send } => match self.in_time(provider.find(asked)).await? {
                None if then_send => self.in_time(provider.ask(asked)).await.map(Some),
                found => Ok(found),
            },
        }
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
        tokio::time::timeout(self.limit, answer).await.unwrap_or(Err(Unanswered("too-late")))
    }

    fn provider(&self, payment: &Payment) -> Option<&Arc<dyn Provider>> {
        let name = payment.opened.as_ref()?.provider.as_deref();
        self.providers.iter().find(|provider| Some(provider.name()) == name)
    }

    /// The provider of a payment, and what it is asked about a transaction. Without the provider the worker stops here.
    fn asked(&self, payment: &Payment, transaction: Uuid) -> Result<(&dyn Provider, Asked), Stopped> {
        let missing = || Stopped::Log(Error::Unavailable(format!("no provider is set for {transaction}")));
        let provider = self.provider(payment).ok_or_else(missing)?;
        let opened = payment.opened.as_ref().ok_or_else(missing)?;
        let one = payment.transactions.get(&transaction).ok_or_else(missing)?;
        let (authorization, of) = payment.authorization().ok_or_else(missing)?;
        let amount = Money::new(one.amount, opened.amount.currency);
        let reference = of.reference.clone();
        Ok((&**provider, Asked { transaction, kind: one.kind, amount, authorization, reference }))
    }

    /// False: it was refused, which staff see.
    async fn report(
        &self,
        id: Uuid,
        asked: &Asked,
        outcome: Outcome,
        cause: &Cause,
    ) -> Result<bool, Stopped> {
        let report = Report { transaction: asked.transaction, kind: asked.kind, outcome, unasked: false };
        let is_taken = self.tell(id, payment::Command::Report(report), cause).await?;
        if !is_taken {
            self.note(id, asked.transaction, "report-refused", cause).await?;
        }
        Ok(is_taken)
    }
}

fn way(question: &Question, cancels: bool, keeps_keys: Duration) -> Way {
    let is_young = question.age < keeps_keys.saturating_sub(MARGIN);
    match (cancels, is_young) {
        (true, _) => Way::Cancel,
        (false, true) if question.asked == 0 => Way::Send,
        (false, then_send) => Way::Find { then_send },
    }
}

/// Whether nothing more is to be asked.
fn ends(outcome: &Outcome, kind: Kind) -> bool {
    match outcome {
        Outcome::Succeeded { .. } | Outcome::Failed { .. } | Outcome::Lapsed { .. } => true,
        Outcome::Declined { .. } => kind != Kind::Authorization,
        Outcome::ActionRequired { .. } | Outcome::Unknown => false,
    }
}
