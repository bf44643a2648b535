//! `[[number]]`: what answers which number.

use std::sync::Arc;

use super::{Document, Fault, document::Number, settings::At};
use crate::{
    switch::{Pattern, Route, Service, Through},
    verbs::Strategy,
};

impl At<'_> {
    pub(super) fn routes(&self, document: &Document) -> Result<Vec<Route>, Fault> {
        let one = |(index, number): (usize, &Number)| {
            let pattern = Pattern::parse(&number.number).map_err(|error| {
                let found = format!("\"{}\" ({error})", number.number);
                self.fault(&format!("number[{index}].number"), found, "digits, letters, X, N, and `*` at the end")
            })?;
            Ok(Route { number: pattern, service: self.service(document, index, number)? })
        };
        document.number.iter().enumerate().map(one).collect()
    }

    fn service(&self, document: &Document, index: usize, number: &Number) -> Result<Service, Fault> {
        let key = |name: &str| format!("number[{index}].{name}");
        if !number.dial.is_empty() {
            if !number.script.is_empty() || !number.vars.is_empty() {
                return Err(self.fault(&key("dial"), "a script, too", "either `dial`, or `script` and its `vars`"));
            }
            return self.through(index, number).map(|through| Service::Through(Arc::new(through)));
        }
        if number.script.is_empty() || number.script.split('/').any(|part| part == ".." || part.is_empty()) {
            let found = format!("\"{}\"", number.script);
            let allowed = format!("a path below {}, or `dial`", document.folders.scripts);
            return Err(self.fault(&key("script"), found, allowed));
        }
        let vars = number.vars.clone().into_iter().collect();
        Ok(Service::Script { script: Arc::from(number.script.as_str()), vars })
    }

    fn through(&self, index: usize, number: &Number) -> Result<Through, Fault> {
        let key = |name: &str| format!("number[{index}].{name}");
        let good =
            |target: &String| !target.is_empty() && !target.contains(|c: char| c.is_whitespace() || c.is_control());
        if let Some(bad) = number.dial.iter().find(|target| !good(target)) {
            return Err(self.fault(
                &key("dial"),
                format_args!("{bad:?}"),
                "numbers and sip: addresses; {called} in them",
            ));
        }
        Ok(Through {
            targets: number.dial.clone(),
            strategy: if number.in_turn { Strategy::InTurn } else { Strategy::All },
            timeout: self.seconds(&key("ring_s"), number.ring_s, 1..=3600)?,
            direct: self.one_of(&key("media"), &number.media, &["relay", "direct"])? == "direct",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        conf::Conf,
        switch::{Service, Through},
        verbs::Strategy,
    };

    fn service(text: &str) -> Result<Service, String> {
        let conf = Conf::read("x.toml", &format!("[[number]]\nnumber = \"1*\"\n{text}"));
        conf.map(|mut conf| conf.routes.remove(0).service).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_number_has_either_a_script_or_targets() {
        assert_eq!(service("script = \"a.lua\"\n").unwrap(), Service::script("a.lua"));
        let Service::Through(through) = service("dial = [\"{called}\", \"sip:a@192.0.2.1\"]\n").unwrap() else {
            panic!("no targets")
        };
        let targets = vec!["{called}".to_owned(), "sip:a@192.0.2.1".to_owned()];
        assert_eq!(
            *through,
            Through { targets, strategy: Strategy::All, timeout: Duration::from_secs(60), direct: false }
        );
        let text = "dial = [\"1\", \"2\"]\nin_turn = true\nring_s = 15\nmedia = \"direct\"\n";
        let Service::Through(through) = service(text).unwrap() else { panic!("no targets") };
        assert_eq!((through.strategy, through.timeout), (Strategy::InTurn, Duration::from_secs(15)));
        assert!(through.direct);
        for (text, told) in [
            ("", "number[0].script"),
            ("script = \"a.lua\"\ndial = [\"1\"]\n", "number[0].dial"),
            ("dial = [\"1 2\"]\n", "number[0].dial"),
            ("dial = [\"1\"]\nring_s = 0\n", "number[0].ring_s"),
            ("dial = [\"1\"]\nmedia = \"none\"\n", "number[0].media"),
        ] {
            let fault = service(text).unwrap_err();
            assert!(fault.contains(told), "{fault}");
        }
    }
}
