//! Commands in: endpoints, and what follows the log in order to act: relay, reactors, eraser, purger; and what seals it.
//!
//! One table maps method and path to a command ([`http`]); the followers each keep a checkpoint and hold a lease.
//! Start reading at [`http::router`], then [`relay`] and [`reactor`].

pub mod eraser;
pub mod http;
pub mod purger;
pub mod reactor;
pub mod relay;
pub mod sealer;
