//! Rows of the log as PostgreSQL copies them out, in its binary format (its manual, COPY, "Binary Format"): less work
//! for client and server than the rows of a query, if there are many.

use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use uuid::Uuid;

use crate::StoredEvent;

/// The start of the data: the signature, flags, and the length of an extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEAD: usize = SIGNATURE.len() + 8;

/// Microseconds from 1970 to 2000, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800_000_000;

/// The columns of a row.
const WIDTH: i16 = 11;

/// A connection that copies. If dropped before the end it still holds the remaining rows, so the connection is
/// closed.
struct Copying(Option<PoolConnection<Postgres>>);

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// The rows of a query with the log's columns, in their order.
pub(crate) async fn copy_out(pool: &PgPool, select: &str) -> Result<Vec<StoredEvent>, sqlx::Error> {
    let mut copying = Copying(Some(pool.acquire().await?));
    let connection = copying.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?;
    let mut messages = connection.copy_out_raw(&format!("COPY ({select}) TO STDOUT (FORMAT BINARY)")).await?;
    let (mut rows, mut held, mut at) = (Vec::new(), Vec::new(), At::Head);
    // A message is usually one row, but may be cut anywhere.
    while let Some(message) = messages.try_next().await? {
        if held.is_empty() {
            let taken = take(&message, &mut at, &mut rows)?;
            held.extend_from_slice(&message[taken..]);
        } else {
            held.extend_from_slice(&message);
            let taken = take(&held, &mut at, &mut rows)?;
            held.drain(..taken);
        }
    }
    drop(messages);
    if at != At::End {
        return Err(broken("it ends too early"));
    }
    drop(copying.0.take());
    Ok(rows)
}

#[derive(Debug, PartialEq, Eq)]
enum At {
    Head,
    Rows,
    End,
}

fn broken(why: &str) -> sqlx::Error {
    sqlx::Error::Protocol(format!("a copy of the log cannot be read: {why}"))
}

/// Adds the complete rows of `bytes`; returns how many bytes they take.
fn take(bytes: &[u8], at: &mut At, rows: &mut Vec<StoredEvent>) -> Result<usize, sqlx::Error> {
    let mut left = bytes;
    if *at == At::Head {
        let Some((head, rest)) = left.split_at_checked(HEAD) else { return Ok(0) };
        if !head.starts_with(SIGNATURE) || head[SIGNATURE.len()..] != [0; 8] {
            return Err(broken("its header is wrong"));
        }
        (left, *at) = (rest, At::Rows);
    }
    while *at == At::Rows {
        let Some((width, mut rest)) = left.split_first_chunk() else { break };
        match i16::from_be_bytes(*width) {
            -1 => *at = At::End,
            WIDTH => match Fields::of(&mut rest) {
                Some(fields) => rows.push(fields?.event()?),
                None => break,
            },
            other => return Err(broken(&format!("a row has {other} columns"))),
        }
        left = rest;
    }
    Ok(bytes.len() - left.len())
}

/// The values of a row, in their order.
struct Fields<'a>(std::array::IntoIter<&'a [u8], { WIDTH as usize }>);

impl<'a> Fields<'a> {
    /// `None`: the row is not complete.
    fn of(bytes: &mut &'a [u8]) -> Option<Result<Self, sqlx::Error>> {
        let mut fields = [&[][..]; WIDTH as usize];
        for field in &mut fields {
            let (length, rest) = bytes.split_first_chunk()?;
            let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
                return Some(Err(broken("a column has no value")));
            };
            (*field, *bytes) = rest.split_at_checked(length)?;
        }
        Some(Ok(Self(fields.into_iter())))
    }

    fn event(mut self) -> Result<StoredEvent, sqlx::Error> {
        Ok(StoredEvent {
            position: self.number()?,
            event_id: Uuid::from_bytes(self.fixed()?),
            aggregate_type: self.text()?,
            aggregate_id: self.text()?,
            sequence: self.number()?,
            event_type: self.text()?,
            event_version: self.text()?,
            payload: self.text()?,
            metadata: self.text()?,
            occurred_at: self.moment()?,
            recorded_at: self.moment()?,
        })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], sqlx::Error> {
        let bytes = self.0.next().and_then(|field| field.try_into().ok());
        bytes.ok_or_else(|| broken("a value is not as long as its type"))
    }

    fn number(&mut self) -> Result<i64, sqlx::Error> {
        self.fixed().map(i64::from_be_bytes)
    }

    fn moment(&mut self) -> Result<DateTime<Utc>, sqlx::Error> {
        let micros = self.number()?.checked_add(EPOCH);
        micros.and_then(DateTime::from_timestamp_micros).ok_or_else(|| broken("a time is out of range"))
    }

    fn text(&mut self) -> Result<String, sqlx::Error> {
        let bytes = self.0.next().unwrap_or_default().to_vec();
        String::from_utf8(bytes).map_err(|_| broken("a text is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(position: i64, payload: &str) -> Vec<u8> {
        let mut row = WIDTH.to_be_bytes().to_vec();
        let number = position.to_be_bytes();
        let fields: [&[u8]; WIDTH as usize] = [
            &number,
            &[7; 16],
            b"order",
            b"a",
            &number,
            b"OrderPlaced",
            b"1",
            payload.as_bytes(),
            b"{}",
            &number,
            &number,
        ];
        for field in fields {
            row.extend(i32::try_from(field.len()).unwrap().to_be_bytes());
            row.extend(field);
        }
        row
    }

    #[test]
    fn rows_are_the_same_however_messages_are_cut() {
        let whole = [SIGNATURE, &[0; 8], &row(1, "ü"), &row(2, ""), &(-1_i16).to_be_bytes()].concat();
        for cut in 0..=whole.len() {
            let (mut at, mut rows, mut held) = (At::Head, Vec::new(), Vec::new());
            for piece in [&whole[..cut], &whole[cut..]] {
                held.extend_from_slice(piece);
                let taken = take(&held, &mut at, &mut rows).unwrap();
                held.drain(..taken);
            }
            let read: Vec<_> = rows.iter().map(|row| (row.position, row.payload.as_str())).collect();
            assert_eq!((read, at, held.len()), (vec![(1, "ü"), (2, "")], At::End, 0), "cut at {cut}");
            assert_eq!(rows[0].recorded_at.timestamp_micros(), EPOCH + 1);
        }
    }

    #[test]
    fn malformed_copy_data_is_rejected() {
        let head = [SIGNATURE, &[0; 8]].concat();
        let mut text = row(1, "x");
        let at = text.iter().position(|byte| *byte == b'x').unwrap();
        text[at] = 0xff;
        let mut none = row(1, "x");
        none[2..6].copy_from_slice(&(-1_i32).to_be_bytes());
        for wrong in [&b"PGCOPY\n\xff\r\n\0\0\0\0\x01\0\0\0\0"[..], &[&head[..], &[0, 3]].concat()] {
            assert!(take(wrong, &mut At::Head, &mut Vec::new()).is_err());
        }
        for wrong in [text, none] {
            assert!(take(&wrong, &mut At::Rows, &mut Vec::new()).is_err());
        }
    }
}
