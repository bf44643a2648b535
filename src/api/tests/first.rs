//! The first start, and a database that is not there yet.

use super::*;

#[tokio::test]
async fn a_first_start_before_the_database_is_there_makes_key_and_password_when_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let late = folder.path().join("late");
    let database = Database::file(&late.join("x.sqlite"));
    let config = database.clone();
    let bench = Bench::with(|all| Config { database: config, ..all }).await;
    assert_eq!(bench.get("/v1/calls").await.0, 503, "whose key it is, nobody can tell");
    std::fs::create_dir(&late).unwrap();
    let made = async {
        loop {
            let store = Store::open(&database).await;
            if let Ok(store) = store
                && !store.keys().await.unwrap_or_default().is_empty()
                && !store.people().await.unwrap_or_default().is_empty()
            {
                return store;
            }
            pass(Duration::from_millis(50)).await;
        }
    };
    let store = tokio::time::timeout(Duration::from_secs(20), made).await.expect("they are made");
    let keys = store.keys().await.unwrap();
    assert_eq!((keys.len(), keys[0].name.as_str(), keys[0].scope), (1, "first", Scope::Admin));
    assert_eq!(store.people().await.unwrap()[0].name, "admin");
}
