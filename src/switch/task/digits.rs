//! Digits that are sent.

use crate::verbs::Failure;

/// Most digits that are sent, and most that are collected, in one go.
pub(in crate::switch) const DIGITS: usize = 128;

/// Can these be sent?
pub(in crate::switch) fn check_digits(digits: &str) -> Result<(), Failure> {
    let known = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D' | ',');
    if digits.is_empty() || digits.len() > DIGITS || !digits.chars().all(known) {
        return Err(Failure::Limit("digits to send"));
    }
    Ok(())
}
