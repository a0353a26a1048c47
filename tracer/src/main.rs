//! placeholder
use portscope::kernel::{arm, Settings};
fn main() {
    env_logger::init();
    let backend = std::env::args().nth(1).unwrap_or("auto".into()).parse().unwrap();
    let secs: u64 = std::env::args().nth(2).unwrap_or("3".into()).parse().unwrap();
    let releases = std::env::args().nth(3).is_some();
    let t = std::time::Instant::now();
    let mut a = match arm(&Settings { backend, buffer_bytes: 4 << 20, releases, ..Default::default() }) { Ok(a) => a, Err(e) => { println!("{e}"); return } };
    println!("armed {} in {:?} unavailable {:?} refused {:?}", a.backend(), t.elapsed(), a.unavailable(), a.refused());
    for (h, v) in a.hooks() { println!("{} {} {:?}", h.program, h.target.place(), v); }
    let t = std::time::Instant::now();
    while t.elapsed().as_secs() < secs {
        a.drain(|b| { println!("{:?}", portscope::event::decode(b)); });
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    println!("{:?}", a.counts().unwrap().cells().collect::<Vec<_>>());
    let c = a.counts().unwrap(); let c = c.raw();
    println!("filtered {} lost {} tally_full {} entered {} exited {} noentry {} spilled {} readfailed {} livefull {}", c.filtered, c.lost, c.tally_full, c.entered, c.exited, c.no_entry, c.spilled, c.read_failed, c.live_full);
}
