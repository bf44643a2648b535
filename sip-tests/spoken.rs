//! What a program knows when it orders a call is spoken to the person who takes it (R118): in the words of the form that
//! was filled in, and of no other.

use serde_json::json;

use crate::{
    baresip::all_heard,
    doors::Taker,
    endings::Bench,
    listening::{samples_of, spoken},
};

const FOLLOWS_UP: &str = "call:sleep(0.3)
vars.said = 'Hello ' .. vars.name .. '. You asked us about ' .. vars.product .. '.'
call:say(vars.said)
call:sleep(0.3)
";

/// Loudness in steps of 20 ms.
fn loudness(samples: &[i16]) -> Vec<f64> {
    let root = |frame: &[i16]| frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>().sqrt();
    samples.chunks_exact(160).map(root).collect()
}

/// How like each other two courses are, from -1 to 1.
fn likeness(one: &[f64], other: &[f64]) -> f64 {
    let mean = |list: &[f64]| list.iter().sum::<f64>() / list.len() as f64;
    let (a, b) = (mean(one), mean(other));
    let sum = |f: fn(f64, f64) -> f64| one.iter().zip(other).map(|(x, y)| f(x - a, y - b)).sum::<f64>();
    sum(|x, y| x * y) / (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt().max(1.0)
}

/// How well a text is found in what was heard, wherever it begins.
fn found(text: &str, heard: &[f64]) -> f64 {
    let text = loudness(&spoken("en-us", 175, text));
    assert!(heard.len() > 20, "next to nothing was heard");
    // Somewhat less than all of it must be there: the silence at its end need not be.
    let text = &text[..text.len().min(heard.len())];
    heard.windows(text.len()).map(|part| likeness(text, part)).fold(-1.0, f64::max)
}

#[test]
fn what_was_known_when_the_call_was_ordered_is_what_the_person_hears() {
    let bench = Bench::new("", &[("follow_up.lua", FOLLOWS_UP)]);
    let forms = [("Anna", "green tea"), ("Bartholomew", "a second hand motorcycle")];
    let mut takers = [Taker::new(300.0), Taker::new(300.0)];
    let calls: Vec<String> = takers
        .iter()
        .zip(forms)
        .map(|(taker, (name, product))| {
            let vars = json!({"name": name, "product": product});
            let order = json!({"to": taker.uri(), "from": "201", "script": "follow_up.lua", "vars": vars});
            bench.start("/v1/calls", &order)
        })
        .collect();
    let texts = forms.map(|(name, product)| format!("Hello {name}. You asked us about {product}."));
    for (at, taker) in takers.iter_mut().enumerate() {
        let [_] = taker.heard([300.0]);
        let heard: Vec<i16> = all_heard(taker.folder.path()).iter().flat_map(|file| samples_of(file)).collect();
        let heard = loudness(&heard);
        let (own, other) = (found(&texts[at], &heard), found(&texts[1 - at], &heard));
        println!("{}: {own:.3}, the other text {other:.3}", texts[at]);
        assert!(own > 0.9 && other < 0.8, "{}: {own}, the other text {other}", texts[at]);
        assert_eq!(bench.over(&calls[at])["vars"]["said"], texts[at].as_str());
    }
}
