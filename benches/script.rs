//! What a flow costs: `cargo bench --bench script`.

use std::{hint::black_box, rc::Rc, time::Duration};

use switchhook::{
    facts::{Facts, Start},
    ids::{CallId, FlowId},
    script::{Clock, Limits, Modules, Program, Step, Vm},
    time::Time,
    verbs::{FlowEnd, Reply},
};

const MENU: &str = "call:answer()
local digit, why = call:gather { say = 'For sales, press one.', max = 1, timeout = 5 }
if digit == '1' then vars.choice = 'sales' end
call:play('bye.wav')";

fn main() {
    let clock = clock();
    let limits = Limits::default();
    let modules: Modules = Rc::new(|name| Err(format!("no {name}")));
    let vm = || Vm::new(limits, Rc::clone(&clock), Rc::clone(&modules));
    let program = Program::compile("menu.lua", MENU.as_bytes()).expect("it compiles");
    let start = start();

    println!("a VM: {} bytes", vm().memory());
    measure("make and drop a VM", 20_000, || drop(black_box(vm())));
    let mut pool: Vec<Vm> = (0..64).map(|_| vm()).collect();
    measure("one flow of 3 requests, with the VM that takes its place", 20_000, || {
        one_flow(pool.pop().expect("it is refilled"), &program, &start);
        pool.push(vm());
    });
    let sum =
        Program::compile("sum.lua", b"local x = 0 for i = 1, 1000000 do x = x + (i & 3) end").expect("it compiles");
    measure("3 million instructions, in slices", 50, || {
        let mut flow = vm();
        let mut step = flow.start(&sum, &start);
        while step == Step::Slice {
            step = flow.go_on();
        }
        assert_eq!(step, Step::Ended(FlowEnd::Finished));
    });
}

fn one_flow(mut vm: Vm, program: &Program, start: &Start) {
    let mut step = vm.start(program, start);
    let mut requests = 0;
    loop {
        step = match step {
            Step::Request(..) => {
                requests += 1;
                let digits = Reply::Digits { digits: "1".into(), why: switchhook::verbs::GatherEnd::Max };
                vm.resume(Duration::from_secs(1), if requests == 2 { digits } else { Reply::Done })
            }
            Step::Ended(end) => break assert_eq!(end, FlowEnd::Finished),
            _ => vm.go_on(),
        };
    }
    assert_eq!(requests, 3);
}

fn start() -> Start {
    let text = |text: &str| text.to_owned();
    Start {
        flow: FlowId(1),
        call: CallId(1),
        script: "menu.lua".into(),
        facts: Facts {
            id: text("c1"),
            caller: text("1001"),
            caller_name: text("Anna"),
            called: text("200"),
            sip_call_id: text("f81d4fae@example.com"),
            source: text("192.0.2.1:5060"),
            inbound: true,
            headers: vec![(text("X-Account"), text("gold"))],
            ..Facts::default()
        },
        vars: vec![(text("colour"), text("blue"))],
        unix: Duration::from_secs(1_772_447_400),
        seed: 42,
    }
}

#[expect(clippy::disallowed_types, reason = "a bench reads the clock")]
fn clock() -> Clock {
    let began = std::time::Instant::now();
    Rc::new(move || Time::from_start(began.elapsed()))
}

/// Run `work` in ten rounds, and show the mean CPU time of the fastest.
fn measure(what: &str, times: u32, mut work: impl FnMut()) {
    let round = times / 10;
    let best = (0..10)
        .map(|_| {
            let began = cpu_time();
            (0..round).for_each(|_| work());
            (cpu_time() - began) / round
        })
        .min();
    println!("{what}: {:?}", best.expect("there were ten rounds"));
}

/// What this thread has used of its processor: other programs make it longer, but not by their own time.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux shows it");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first field is a number"))
}
