//! People, sessions, contacts, flows, recordings and transcripts, with each of the two kinds of database.

use sqlx::Executor;

use super::*;

fn done(at_ms: i64, about: &str) -> Done {
    let [who, what, outcome] = ["k", "what", "done"].map(str::to_owned);
    Done { at_ms, who, what, about: about.to_owned(), outcome }
}

#[expect(clippy::too_many_lines, reason = "one story")]
pub(super) async fn keeps_what_people_work_with(folder: &Path, database: &Database) {
    let store = Store::open(database).await.unwrap();
    let anna = Person { name: "anna".into(), role: Scope::Call, numbers: vec!["1".into(), "2".into()] };
    let password = Password::new("x");
    assert!(store.add_person(&anna, &password, 1).await.unwrap());
    assert!(!store.add_person(&anna, &password, 1).await.unwrap());
    assert_eq!(store.person("anna").await.unwrap(), Some((anna.clone(), password.clone())));
    let token = store.begin_session("anna", 100, 200).await.unwrap();
    let token = secret_hash(&token);
    assert_eq!(store.find_session(&token, 199).await.unwrap(), Some((anna.clone(), 200)));
    assert_eq!(store.find_session(&token, 200).await.unwrap(), None);
    let admin = Person { role: Scope::Admin, numbers: vec![], ..anna.clone() };
    assert!(store.change_person(&admin).await.unwrap());
    assert_eq!(store.find_session(&token, 199).await.unwrap(), Some((admin.clone(), 200)));
    assert!(store.change_password("anna", &password).await.unwrap());
    assert_eq!(store.find_session(&token, 199).await.unwrap(), None);
    assert_eq!(store.people().await.unwrap(), [admin]);
    assert!(store.remove_person("anna").await.unwrap() && !store.remove_person("anna").await.unwrap());

    for at in 0..5 {
        store.note(&done(at / 2, &at.to_string())).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let (entries, next) = store.done(after.as_ref(), 2).await.unwrap();
        seen.extend(entries.into_iter().map(|one| one.about));
        after = next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    assert_eq!(seen, ["0", "1", "2", "3", "4"]);

    let new = Contact { name: "Anna".into(), numbers: vec!["5".into(), "4".into()], ..Contact::default() };
    let contact = store.add_contact(new, 7).await.unwrap();
    assert_eq!(store.contact(&contact.id).await.unwrap(), Some(contact.clone()));
    let filter = |number: &str, text: &str| ContactFilter {
        numbers: vec![number.into()],
        text: Some(text.into()),
        after: None,
        limit: 10,
    };
    assert_eq!(store.contacts(&filter("4", "NN")).await.unwrap(), (vec![contact.clone()], None));
    assert_eq!(store.contacts(&filter("4", "_")).await.unwrap(), (vec![], None));
    let changed = Contact { numbers: vec!["6".into()], ..contact.clone() };
    assert!(store.change_contact(&changed, 8).await.unwrap());
    assert_eq!(store.contacts(&filter("4", "a")).await.unwrap(), (vec![], None));
    assert!(store.remove_contact(&contact.id).await.unwrap());
    assert!(!store.change_contact(&changed, 8).await.unwrap());

    for version in 1..=3 {
        assert_eq!(store.add_version(("a.lua", "text"), "note", ("k", 1)).await.unwrap(), version);
    }
    assert_eq!(store.add_version(("b.lua", "other"), "", ("k", 1)).await.unwrap(), 1);
    store.activate("a.lua", 3, ("k", 1)).await.unwrap();
    store.activate("a.lua", 2, ("k", 2)).await.unwrap();
    let flows = store.flows().await.unwrap();
    assert_eq!((flows[0].newest, flows[0].active), (3, Some(2)));
    assert_eq!((flows[1].newest, flows[1].active), (1, None));
    assert_eq!(store.versions("a.lua").await.unwrap().len(), 3);
    assert_eq!(store.version_text("b.lua", 1).await.unwrap().as_deref(), Some("other"));
    assert_eq!(store.version_text("b.lua", 2).await.unwrap(), None);

    for (number, text) in [(1, "hello"), (2, "good morning")] {
        assert_eq!(store.add_turn("c-1", ("caller", text), 5).await.unwrap(), number);
    }
    assert_eq!(store.transcript("c-1", 0, 1000).await.unwrap()[1].text, "good morning");

    let running = start(folder, database);
    for call in 0..3 {
        let mut fact = record(&format!("r-{call}"), 1_800_000_400_000);
        let Fact::Record(record) = &mut fact else { unreachable!("just made") };
        record.recordings = vec![format!("{call}-a.wav"), format!("{call}-b.wav")];
        running.tell(fact).await;
    }
    running.stop();
    let filter = |after| RecordingFilter { number: vec!["4711".into()], after, limit: 4, ..RecordingFilter::default() };
    let (first, next) = store.recordings(&filter(None)).await.unwrap();
    let (second, end) = store.recordings(&filter(next)).await.unwrap();
    let ids: Vec<_> = first.iter().chain(&second).map(|kept| kept.id.as_str()).collect();
    assert_eq!(ids, ["r-2.1", "r-2.0", "r-1.1", "r-1.0", "r-0.1", "r-0.0"]);
    assert_eq!(end, None);
    store.recording_erased("r-1.0", 9).await.unwrap();
    let kept = store.recording("r-1.0").await.unwrap().unwrap();
    assert_eq!((kept.file.as_str(), kept.call.as_str(), kept.erased_ms), ("1-a.wav", "r-1", Some(9)));
    let strangers = RecordingFilter { numbers: vec!["999".into()], limit: 10, ..RecordingFilter::default() };
    assert_eq!(store.recordings(&strangers).await.unwrap().0, []);
}

#[tokio::test]
async fn sqlite_keeps_what_people_work_with() {
    let folder = tempfile::tempdir().unwrap();
    keeps_what_people_work_with(folder.path(), &Database::file(&folder.path().join("x.sqlite"))).await;
}

#[tokio::test]
async fn a_database_of_before_gets_the_steps_that_it_lacks_and_no_other_twice() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(&folder.path().join("x.sqlite"));
    let pool = database.open(1, false).await.unwrap();
    for statement in desk_schema::TABLES.iter().filter(|statement| statement.starts_with("CREATE TABLE")) {
        let table = statement.split(' ').nth(2).unwrap();
        pool.execute(sqlx::AssertSqlSafe(format!("DROP TABLE {table}"))).await.unwrap();
    }
    for undone in [
        "DROP INDEX audit_by_time",
        "ALTER TABLE audit DROP COLUMN id",
        "DELETE FROM schema_version WHERE version = 20",
    ] {
        pool.execute(undone).await.unwrap();
    }
    pool.close().await;
    for _ in 0..2 {
        let store = Store::open(&database).await.unwrap();
        store.note(&done(1, "about")).await.unwrap();
        assert!(store.flows().await.unwrap().is_empty());
    }
}
