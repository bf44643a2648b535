use crate::{
    conf::{Conf, DEFAULTS},
    sip::auth::{Algorithm, Secret},
};

fn fault(text: &str) -> String {
    Conf::read("x.toml", text).unwrap_err().to_string()
}

#[test]
fn by_default_there_is_no_phone_and_nobody_is_asked() {
    let conf = Conf::read("defaults", DEFAULTS).unwrap();
    assert!(conf.phones.is_empty());
    assert_eq!(conf.phones.algorithms, [Algorithm::Md5]);
    assert!(!conf.phones.guests);
}

#[test]
fn a_phone_has_a_number_of_its_own_or_that_of_its_name() {
    let text = "[[phone]]\nuser = \"anna\"\nnumber = \"201\"\npassword = \"p\"\n\
                [[phone]]\nuser = \"202\"\npassword = \"q\"\nmax_contacts = 2\n";
    let phones = Conf::read("x.toml", text).unwrap().phones;
    let user = |called: &str| phones.called(called).map(|phone| phone.credentials.user.as_str());
    assert_eq!((user("201"), user("anna"), user("202"), user("203")), (Some("anna"), Some("anna"), Some("202"), None));
    assert_eq!(phones.user("202").unwrap().max_contacts, 2);
}

#[test]
fn a_hash_may_stand_for_the_password_where_one_algorithm_is_offered() {
    let phone = "[[phone]]\nuser = \"anna\"\nha1 = \"0123456789ABCDEF0123456789abcdef\"\n";
    let phones = Conf::read("x.toml", phone).unwrap().phones;
    let Secret::Ha1 { hex, realm, .. } = &phones.user("anna").unwrap().credentials.secret else { panic!("a hash") };
    assert_eq!((hex.as_str(), realm.as_str()), ("0123456789abcdef0123456789abcdef", "switchhook"));
    let text = format!("[phones]\nalgorithms = [\"sha-256\", \"MD5\"]\n{phone}");
    assert!(fault(&text).contains("one entry in phones.algorithms"), "{}", fault(&text));
}

#[test]
fn what_is_wrong_with_a_phone_is_told_where_it_stands() {
    for (text, want) in [
        ("[[phone]]\nuser = \"a b\"\npassword = \"p\"", "x.toml:2: phone[0].user: found \"a b\""),
        ("[[phone]]\nuser = \"anna\"", "phone[0].password: found neither; allowed: a password, or ha1"),
        ("[phones]\nmin_expires_s = 700\nmax_expires_s = 600", "x.toml:3: phones.max_expires_s: found 600"),
        ("[phones]\nalgorithms = [\"SHA-1\"]", "x.toml:2: phones.algorithms: found \"SHA-1\""),
        (
            "[[phone]]\nuser = \"a\"\npassword = \"p\"\n[[phone]]\nuser = \"b\"\nnumber = \"a\"\npassword = \"p\"",
            "x.toml:5: phone[1].user",
        ),
    ] {
        assert!(fault(text).contains(want), "{}", fault(text));
    }
}
