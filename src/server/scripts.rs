//! The scripts that ship with the program, and the check of those that the configuration names.

use std::{fs, io, path::Path, sync::Arc};

use crate::{
    conf::{Conf, Folders},
    script,
    switch::Service,
};

/// The flows that ship, with their names below the script folder.
const SHIPPED: [(&str, &str); 11] = [
    ("echo.lua", include_str!("../../scripts/echo.lua")),
    ("menu.lua", include_str!("../../scripts/menu.lua")),
    ("voicemail.lua", include_str!("../../scripts/voicemail.lua")),
    ("ring_all.lua", include_str!("../../scripts/ring_all.lua")),
    ("conference.lua", include_str!("../../scripts/conference.lua")),
    ("extension.lua", include_str!("../../scripts/extension.lua")),
    ("desk.lua", include_str!("../../scripts/desk.lua")),
    ("codes.lua", include_str!("../../scripts/codes.lua")),
    ("forward.lua", include_str!("../../scripts/forward.lua")),
    ("phone.lua", include_str!("../../scripts/phone.lua")),
    ("meta/switchhook.lua", include_str!("../../scripts/meta/switchhook.lua")),
];

/// Where there is no script folder yet, make one with the flows that ship, so that there is something to begin with.
pub fn bring(folders: &Folders) -> io::Result<()> {
    if folders.scripts.exists() {
        return Ok(());
    }
    for (name, text) in SHIPPED {
        let file = folders.scripts.join(name);
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        fs::write(file, text)?;
    }
    tracing::info!(folder = %folders.scripts.display(), "a script folder was made, with flows to begin with");
    Ok(())
}

/// What is wrong with the scripts: those that the configuration names, and those that do not compile. A line each.
pub fn faults(conf: &Conf) -> Vec<String> {
    let new = !conf.folders.scripts.exists();
    let numbers = conf.routes.iter().enumerate();
    let numbers = numbers.filter_map(|(index, route)| match &route.service {
        Service::Script { script, .. } => Some((format!("number[{index}].script"), script.clone())),
        Service::Through(_) => None,
    });
    let marked = conf.stir.verifying.iter().filter_map(|verifying| verifying.script.clone());
    let phones = conf.phones.script.iter().filter(|_| !conf.phones.users.is_empty());
    let messages = conf.messages.routes.iter().enumerate();
    let messages = messages.map(|(index, route)| (format!("message[{index}].script"), route.script.clone()));
    let queues = conf.roster.queues.values().filter(|queue| !queue.wait_script.is_empty());
    let queues = queues.map(|queue| (format!("queue {}: wait_script", queue.id), Arc::from(&*queue.wait_script)));
    let named = numbers
        .chain(messages)
        .chain(queues)
        .chain(marked.map(|script| ("stir.mark_script".to_owned(), script)))
        .chain(phones.map(|script| ("phones.script".to_owned(), Arc::clone(script))));
    let missing = named.filter_map(|(key, script)| {
        let file = conf.folders.scripts.join(&*script);
        // A folder that is not there yet is made at the start.
        let brought = new && SHIPPED.iter().any(|(name, _)| *name == &*script);
        let found = || format!("{key}: found \"{script}\"; allowed: a file that is there; {} is not", file.display());
        (!brought && !file.is_file()).then(found)
    });
    let broken = if new { Vec::new() } else { script::check(&conf.folders.scripts) };
    missing.chain(broken.iter().map(ToString::to_string)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flow_that_ships_is_brought_into_a_new_folder_only() {
        let home = tempfile::tempdir().unwrap();
        let mut conf = Conf::read("x", "").unwrap();
        conf.folders.scripts = home.path().join("scripts");
        bring(&conf.folders).unwrap();
        assert_eq!(faults(&conf), Vec::<String>::new(), "what ships is right");
        conf.folders.scripts = home.path().join("not_there_yet");
        assert_eq!(faults(&conf), Vec::<String>::new(), "the start will bring it");
        conf.folders.scripts = home.path().join("scripts");
        fs::write(home.path().join("scripts/echo.lua"), "my own").unwrap();
        bring(&conf.folders).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("scripts/echo.lua")).unwrap(), "my own");
    }

    #[test]
    fn a_missing_or_broken_script_is_told_with_its_place() {
        let home = tempfile::tempdir().unwrap();
        let mut conf = Conf::read("x", "[[number]]\nnumber = \"1\"\nscript = \"none.lua\"\n").unwrap();
        conf.folders.scripts = home.path().to_owned();
        fs::write(home.path().join("broken.lua"), "local x =\nif").unwrap();
        let told = faults(&conf);
        assert!(told[0].starts_with("number[0].script: found \"none.lua\""), "{told:?}");
        assert!(told[1].contains("broken.lua:2"), "{told:?}");
    }

    #[test]
    fn the_script_of_messages_is_wanted() {
        let home = tempfile::tempdir().unwrap();
        let mut conf = Conf::read("x", "number = []\n[[message]]\nnumber = \"1\"\nscript = \"none.lua\"\n").unwrap();
        conf.folders.scripts = home.path().to_owned();
        assert!(faults(&conf)[0].starts_with("message[0].script: found \"none.lua\""));
    }

    #[test]
    fn the_script_of_the_phones_is_wanted_where_there_is_a_phone() {
        let home = tempfile::tempdir().unwrap();
        let told_of = |text: &str| {
            let mut conf = Conf::read("x", text).unwrap();
            conf.folders.scripts = home.path().to_owned();
            faults(&conf)
        };
        let script = "[phones]\nscript = \"none.lua\"\n";
        assert!(told_of(script).iter().all(|told| !told.contains("none.lua")), "nobody can run it");
        let told = told_of(&format!("{script}[[phone]]\nuser = \"anna\"\npassword = \"x\"\n"));
        assert!(told.iter().any(|told| told.starts_with("phones.script: found \"none.lua\"")), "{told:?}");
    }
}
