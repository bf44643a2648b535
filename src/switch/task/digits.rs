//! Digits that are sent.

use std::time::Duration;

use crate::{
    media::Command,
    switch::{call::Call, core::Core},
    verbs::Failure,
};

/// Most digits that are sent, and most that are collected, in one go.
pub(in crate::switch) const DIGITS: usize = 128;

impl Call {
    pub(super) fn send_digits(
        &mut self,
        core: &mut Core,
        digits: &str,
        length: Duration,
        gap: Duration,
    ) -> Result<(), Failure> {
        let Some(open) = self.port.open() else { return Err(Failure::WrongState) };
        check_digits(digits)?;
        if open.agreed.is_none() {
            return Err(Failure::WrongState);
        }
        let port = open.id;
        self.command(core, Command::Digits { port, digits: digits.into(), length, gap });
        Ok(())
    }
}

pub(super) fn check_digits(digits: &str) -> Result<(), Failure> {
    let known = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D' | ',');
    if digits.is_empty() || digits.len() > DIGITS || !digits.chars().all(known) {
        return Err(Failure::Limit("digits to send"));
    }
    Ok(())
}
