//! A journal that does not answer, since its disk hangs.

use super::*;

#[tokio::test]
async fn a_journal_that_does_not_answer_is_told_of_within_seconds() {
    let (nobody, _asked) = mpsc::channel(1);
    let bench = Bench::asking(|config| config, |_| nobody).await;
    let asked = std::iter::repeat_with(|| bench.get("/v1/calls?live=true")).take(3);
    let answers = tokio::time::timeout(Duration::from_secs(20), futures_util::future::join_all(asked)).await;
    for (code, problem) in answers.expect("all are answered") {
        assert_eq!((code, problem["type"].as_str()), (503, Some("journal_stuck")), "{problem}");
    }
    // What needs no journal goes on.
    assert_eq!(bench.get("/v1/keys").await.0, 200);
}
