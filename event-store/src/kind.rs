//! The kind of a command's outcome, as its record keeps it. How a client sees it is decided at the edge.

use soonshop_domain::ErrorKind;

/// The kind of a command's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutcomeKind {
    /// Something new was created.
    Created,
    /// It was done, or was already done.
    #[default]
    Done,
    /// Something was removed.
    Removed,
    /// It was accepted; its effects come later.
    Accepted,
    /// It was refused.
    Refused(ErrorKind),
}

impl OutcomeKind {
    /// Whether it is a refusal.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// The number for the column `status` of command records. These numbers are stored: earlier and later releases
    /// read the same records.
    pub(crate) fn stored(self) -> i16 {
        match self {
            Self::Created => 201,
            Self::Done => 200,
            Self::Removed => 204,
            Self::Accepted => 202,
            Self::Refused(ErrorKind::Invalid) => 422,
            Self::Refused(ErrorKind::NotFound) => 404,
            Self::Refused(ErrorKind::Gone) => 410,
            Self::Refused(ErrorKind::Conflict) => 409,
        }
    }

    /// The kind for a stored number. Unknown numbers, of a later release, are a success below 400 and a refusal from
    /// there on.
    pub(crate) fn from_stored(number: i16) -> Self {
        match number {
            201 => Self::Created,
            202 => Self::Accepted,
            204 => Self::Removed,
            422 => Self::Refused(ErrorKind::Invalid),
            404 => Self::Refused(ErrorKind::NotFound),
            410 => Self::Refused(ErrorKind::Gone),
            400.. => Self::Refused(ErrorKind::Conflict),
            _ => Self::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: the numbers in the records of every shop.
    #[test]
    fn each_kind_is_stored_as_the_number_that_it_always_had() {
        let stored = [
            (OutcomeKind::Done, 200),
            (OutcomeKind::Created, 201),
            (OutcomeKind::Accepted, 202),
            (OutcomeKind::Removed, 204),
            (OutcomeKind::Refused(ErrorKind::NotFound), 404),
            (OutcomeKind::Refused(ErrorKind::Conflict), 409),
            (OutcomeKind::Refused(ErrorKind::Gone), 410),
            (OutcomeKind::Refused(ErrorKind::Invalid), 422),
        ];
        for (kind, number) in stored {
            assert_eq!((kind.stored(), OutcomeKind::from_stored(number)), (number, kind));
        }
        assert_eq!(OutcomeKind::from_stored(299), OutcomeKind::Done);
        assert!(OutcomeKind::from_stored(499).is_refusal());
    }
}
