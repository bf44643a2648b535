//! Many random calls at once on one server and a lossy network: nothing is left of them.

use super::*;

#[test]
fn many_random_calls_at_once_leave_nothing_behind() {
    let (calls, rounds) = if std::env::var_os("PROOF").is_some() { (500, 20) } else { (200, 1) };
    for round in 0..rounds {
        soak(calls, round);
    }
}

fn soak(calls: usize, seed: u64) {
    const PHONES: u8 = 10;
    let mut chance = Chance::new(seed);
    let mut world = World::new(BAD, seed);
    let actions = [
        "call:answer() call:play('hello.wav') call:hangup()",
        "call:answer() vars.d = call:gather{max = 3, first_timeout = 5, timeout = 2}",
        "call:answer() call:join('room' .. math.random(5))",
        "call:answer() call:record{file = 'r', stereo = true} call:echo{limit = 8}",
        "call:answer() local p = call:dial{'sip:1@10.0.0.2', 'sip:1@10.0.0.3', timeout = 6} if p then call:bridge(p) end",
        "call:dial{'sip:1@10.0.0.4', 'sip:1@10.0.0.5', timeout = 6, early_media = true, strategy = 'in_turn'}",
        "call:ring() call:sleep(3) call:reject(486)",
        "call:answer() error('x')",
    ];
    let mut server = config(SERVER, &[]);
    server.workers = 2;
    server.trace = false;
    let scripts: Vec<(String, &str)> =
        actions.iter().enumerate().map(|(at, text)| (format!("{at}.lua"), *text)).collect();
    for (at, (script, _)) in scripts.iter().enumerate() {
        let number = Pattern::parse(&format!("10{at}")).expect("a pattern");
        server.routes.push(Route { number, service: Service::script(script) });
    }
    let scripts: Vec<(&str, &str)> = scripts.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    world.add(SERVER, server, &scripts);
    world.host(SERVER).prompts.insert("hello.wav".into(), hum(600.0, 40_000));
    let phones: Vec<IpAddr> = (0..PHONES).map(|at| other(2 + at)).collect();
    for ip in &phones {
        let answer = "local n = math.random(4)
            if n == 1 then call:reject(486) elseif n == 2 then call:ring() call:sleep(10)
            elseif n == 3 then call:progress() call:play('me.wav') end call:answer() call:play('me.wav') call:sleep(math.random(10))";
        let phone = "local n = math.random(4)
            if n == 1 then call:send_digits('123') elseif n == 2 then call:play('me.wav') elseif n == 3 then call:hangup() end
            call:sleep(math.random(20))";
        let mut host = config(*ip, &[("*", "answer.lua")]);
        host.trace = false;
        world.add(*ip, host, &[("answer.lua", answer), ("phone.lua", phone)]);
        world.host(*ip).prompts.insert("me.wav".into(), hum(1000.0, 24_000));
    }
    for at in 0..calls {
        let number = format!("sip:10{}@10.0.0.1", chance.below(actions.len() as u64));
        call_from(&mut world, phones[at % phones.len()], &number, Duration::from_millis(1000 + chance.below(30_000)));
        world.run_for(Duration::from_millis(chance.below(20)));
    }
    let busiest = world.host(SERVER).exchange.counts().calls;
    assert!(busiest >= calls / 2, "{busiest} at once");
    world.run_for(secs(600));
    for ip in phones.iter().chain([&SERVER]) {
        assert_eq!(world.host(*ip).exchange.counts(), Counts::default(), "left behind at {ip}, seed {seed}");
    }
    let records = &world.host(SERVER).records;
    assert!(records.iter().filter(|record| record.direction == Direction::Inbound).count() >= calls * 9 / 10);
}
