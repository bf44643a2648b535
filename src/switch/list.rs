//! Play lists among what is to be played: each gives way to its entries, which are loaded in its place.

use super::{
    Output,
    call::{Call, Notice},
    core::Core,
    play::{Missing, Player},
};
use crate::{
    ids::LoadId,
    verbs::{NoSound, Sound, SoundFault},
};

/// Lists within lists, counted from the one that a script names.
const DEEPEST: u8 = 3;

impl Call {
    /// A play list was read, or cannot be.
    pub fn handle_listed(&mut self, core: &mut Core, load: LoadId, result: Result<Vec<Sound>, NoSound>) {
        let (most, rate) = (core.config.limits.sounds, self.rate());
        let Player::Loading { sounds, loads, .. } = &mut self.player else { return };
        let Some(found) = loads.iter().position(|missing| missing.load == load) else { return };
        let Missing { place, depth, .. } = loads.swap_remove(found);
        let entries = result.and_then(|entries| match sounds.len() + entries.len() {
            _ if depth == DEEPEST => Err(too_large(format!("more than {DEEPEST} play lists, one within another"))),
            all if all > most + 1 => Err(too_large(format!("more than {most} sounds with those of the play list"))),
            _ => Ok(entries),
        });
        let entries = match entries {
            Ok(entries) => entries,
            Err(why) => {
                self.forget_play(core);
                return core.tell(self.id, Notice::NotPlayed(why));
            }
        };
        sounds.splice(place..=place, entries.iter().map(|_| None));
        for missing in loads.iter_mut().filter(|missing| missing.place > place) {
            missing.place = missing.place + entries.len() - 1;
        }
        for (at, sound) in entries.into_iter().enumerate() {
            let load = LoadId(core.id());
            loads.push(Missing { load, place: place + at, depth: depth + 1 });
            core.loads.insert(load, self.id);
            core.out.push_back(Output::Load { load, sound, rate });
        }
        self.play_when_loaded(core);
    }
}

fn too_large(why: String) -> NoSound {
    NoSound::new(SoundFault::TooLarge, why)
}
