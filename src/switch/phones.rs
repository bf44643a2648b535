//! The phones that may register, and who else may call: what the operator says about them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    sdp::Policy,
    sip::auth::{Algorithm, Credentials, Secret},
};

/// One phone, or rather its owner: any number of devices may register with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// Name and password.
    pub credentials: Credentials,
    /// The number that rings it, and that its calls show.
    pub number: String,
    /// Devices at a time.
    pub max_contacts: usize,
    /// Whether its media is encrypted; absent: as everybody's.
    pub security: Option<Policy>,
}

/// The key of the nonces. Never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NonceKey(pub [u8; 32]);

impl std::fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceKey(..)")
    }
}

/// All phones, and the rules for them. Without a phone nobody is asked who he is.
#[derive(Clone, Debug, PartialEq)]
pub struct Phones {
    /// What passwords are asked for; part of each digest.
    pub realm: String,
    /// What is offered, best first.
    pub algorithms: Vec<Algorithm>,
    /// Random and secret, made at each start.
    pub key: NonceKey,
    /// May call in who has no password here.
    pub guests: bool,
    /// What runs for a call to a phone's number; absent: such a call gets 404.
    pub script: Option<Arc<str>>,
    /// Shortest registration and subscription.
    pub min_expires: Duration,
    /// Longest.
    pub max_expires: Duration,
    /// Gap between keep-alives to phones on UDP; absent: none.
    pub keep_alive: Option<Duration>,
    /// By user; filled by [`Phones::add`].
    pub(crate) users: BTreeMap<String, Phone>,
    /// Users by number; filled by [`Phones::add`].
    pub(crate) numbers: BTreeMap<String, String>,
}

impl Default for Phones {
    fn default() -> Phones {
        Phones {
            realm: "switchhook".to_owned(),
            algorithms: Algorithm::ALL.to_vec(),
            key: NonceKey([0; 32]),
            guests: false,
            script: None,
            min_expires: Duration::from_secs(60),
            max_expires: Duration::from_secs(3600),
            keep_alive: None,
            users: BTreeMap::new(),
            numbers: BTreeMap::new(),
        }
    }
}

impl Phones {
    /// Adds a phone. False: its user or its number is taken.
    pub fn add(&mut self, phone: Phone) -> bool {
        let user = phone.credentials.user.clone();
        if self.users.contains_key(&user) || self.numbers.contains_key(&phone.number) {
            return false;
        }
        self.numbers.insert(phone.number.clone(), user.clone());
        self.users.insert(user, phone);
        true
    }

    /// True: nobody is asked who he is.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The phone with this user.
    pub fn user(&self, user: &str) -> Option<&Phone> {
        self.users.get(user)
    }

    /// The phone that this number, or this user, stands for.
    pub fn called(&self, number: &str) -> Option<&Phone> {
        self.numbers.get(number).and_then(|user| self.users.get(user)).or_else(|| self.users.get(number))
    }

    /// Every phone.
    pub fn iter(&self) -> impl Iterator<Item = &Phone> {
        self.users.values()
    }
}

impl Phone {
    /// With one password for all algorithms, and room for ten devices.
    pub fn new(user: &str, number: &str, password: &str) -> Phone {
        let secret = Secret::Password(password.to_owned());
        let credentials = Credentials { user: user.to_owned(), secret };
        Phone { credentials, number: number.to_owned(), max_contacts: 10, security: None }
    }
}
