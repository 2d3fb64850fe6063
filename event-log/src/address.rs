//! Addresses for people.

/// An address without what signs in: nothing before `@`, and no parameters, which may hold a password as well.
pub fn shown(url: &str) -> String {
    let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
    match (address.find("://"), address.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}{}", &address[..scheme + 3], &address[at + 1..])
        }
        // A password with a `?` that is not encoded.
        (Some(scheme), None) if parameters.split('=').next().is_some_and(|first| first.contains('@')) => {
            format!("{}…", &address[..scheme + 3])
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_is_shown_without_what_signs_in() {
        for (url, expected) in [
            ("postgres://ada:secret@db:5432/shop", "postgres://db:5432/shop"),
            ("postgres://db/shop?user=ada&password=secret", "postgres://db/shop"),
            ("postgres://db/shop?password=sec@ret", "postgres://db/shop"),
            ("postgres://u:p%40ss@host:5432/shop", "postgres://host:5432/shop"),
            ("nats://secret@localhost:4222", "nats://localhost:4222"),
            ("sqlite://data", "sqlite://data"),
            ("moka:", "moka:"),
            ("postgres://ada:sec?ret@db/shop", "postgres://…"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }
}
