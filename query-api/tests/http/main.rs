//! The endpoints over HTTP, over read models that real projectors keep, in a folder of each test's own; or, where
//! `QUERY_API_TEST_POSTGRES` names a server, in a database of each test's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audit;
mod behind;
mod causes;
mod changes;
mod description;
mod figures;
mod groups;
mod hostile;
mod live;
mod notes;
mod pages;
mod past;
mod reads;
mod search;
mod shop;
mod texts;
