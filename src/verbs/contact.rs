//! Whom a number belongs to, as the operator's list of contacts says.

/// A contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// By which the API names it.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// Its numbers, the best first.
    pub numbers: Vec<String>,
    /// What is known.
    pub notes: String,
    /// Values for flows, by name.
    pub vars: Vec<(String, String)>,
}
