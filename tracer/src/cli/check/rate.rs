//! `check --rate-check`: whether so many connects a second would fit.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde::Serialize;

use crate::{
    cli::{
        Failure,
        exit::{json, say},
        filters,
        options::Format,
    },
    event::{Port, Protocol},
    output::report::{grouped, per_second},
    stock::{CliffWall, NetnsConfig, PoolKey},
};

/// The status where it does not fit, as that of `--fail-on`.
const DOES_NOT_FIT: u8 = 3;

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: u32,
    /// Connects per second.
    rate: f64,
    hold_s: f64,
    /// Ports that are barred at a time, in the long run.
    needed: f64,
    cliff: Option<u32>,
    wall: u32,
    /// The highest rate with that hold.
    sustainable_per_s: f64,
    fits: bool,
    before_cliff: Option<bool>,
    word: &'static str,
}

/// Works it out for a namespace.
pub(super) fn run(
    output: Format,
    netns: &[String],
    rate: f64,
    to: SocketAddr,
    hold: Duration,
) -> Result<u8, Failure> {
    let Some(rport) = Port::new(to.port()) else {
        return Err(Failure::usage(format!("'{to}' has no port: give IP:PORT")));
    };
    if hold.is_zero() {
        return Err(Failure::usage(
            "--hold 0 bars no port: give the time from connect until the port is free again",
        ));
    }
    let own = filters::one_namespace(netns)?;
    let config = NetnsConfig::of(&own, Path::new("/proc"))?;
    // Any local address will do: the limits hang on the range alone.
    let key = PoolKey::Connect { proto: Protocol::Tcp, laddr: to.ip(), raddr: to.ip(), rport };
    let answer = answer(CliffWall::of(&key, &config), rate, hold.as_secs_f64());
    let status = if answer.fits { 0 } else { DOES_NOT_FIT };
    if output == Format::Json {
        say(&json(&answer)?)?;
    } else {
        say(&text(&answer, to))?;
    }
    Ok(status)
}

fn answer(limits: CliffWall, rate: f64, hold_s: f64) -> Answer {
    let needed = rate * hold_s;
    let fits = needed <= f64::from(limits.wall);
    let before_cliff = limits.cliff.map(|cliff| needed <= f64::from(cliff));
    let word = match (fits, before_cliff) {
        (false, _) => "EXHAUSTED",
        (true, Some(false)) => "AT RISK",
        (true, _) => "OK",
    };
    Answer {
        kind: "rate_check",
        schema: crate::output::records::SCHEMA,
        rate,
        hold_s,
        needed,
        cliff: limits.cliff,
        wall: limits.wall,
        sustainable_per_s: f64::from(limits.wall) / hold_s,
        fits,
        before_cliff,
        word,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number for people, never negative"
)]
fn whole(number: f64) -> u64 {
    number.ceil().max(0.0) as u64
}

fn text(answer: &Answer, to: SocketAddr) -> String {
    let told = match (answer.fits, answer.before_cliff) {
        (false, _) => "it does not fit: connects will be refused (EADDRNOTAVAIL)",
        (true, Some(false)) => "it fits, but past the cliff: each search goes through a full half in vain",
        (true, _) => "it fits",
    };
    let cliff = answer.cliff.map_or_else(|| "-".to_owned(), grouped);
    // A rate that is promised must not be rounded up.
    let sustained = per_second(Some(answer.sustainable_per_s.floor()));
    let cliff_rate = answer.cliff.map_or_else(String::new, |cliff| {
        format!(", {} before the cliff", per_second(Some((f64::from(cliff) / answer.hold_s).floor())))
    });
    let hold = if answer.hold_s < 60.0 {
        "mind         a connection that this side closes first bars its port for 60 s more (TIME_WAIT)\n"
    } else {
        ""
    };
    format!(
        "{}  {told}\nneeds        {} ports to {to} at a time ({} for {} s each)\n\
         has          {} from one local address; cliff at {cliff}\n\
         sustains     {sustained} with that hold{cliff_rate}\n{hold}",
        answer.word,
        grouped(whole(answer.needed)),
        per_second(Some(answer.rate)),
        answer.hold_s,
        grouped(answer.wall),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_range_sustains_470_a_second() {
        let limits = CliffWall { cliff: Some(14_116), wall: 28_232 };
        for (rate, word) in
            [(200.0, "OK"), (235.0, "OK"), (300.0, "AT RISK"), (470.0, "AT RISK"), (471.0, "EXHAUSTED")]
        {
            assert_eq!(answer(limits, rate, 60.0).word, word, "{rate}");
        }
    }

    #[test]
    fn what_is_needed_is_rounded_up_and_what_is_sustained_down() {
        let limits = CliffWall { cliff: Some(14_116), wall: 28_232 };
        let told = text(&answer(limits, 2000.0, 60.0), "10.0.0.1:443".parse().unwrap());
        let expected = "\
EXHAUSTED  it does not fit: connects will be refused (EADDRNOTAVAIL)
needs        120,000 ports to 10.0.0.1:443 at a time (2000/s for 60 s each)
has          28,232 from one local address; cliff at 14,116
sustains     470/s with that hold, 235/s before the cliff
";
        assert_eq!(told, expected);
        let short = text(&answer(limits, 3.3, 0.5), "[::1]:443".parse().unwrap());
        assert!(short.contains("needs        2 ports to [::1]:443") && short.contains("mind "), "{short}");
        let none = answer(CliffWall { cliff: None, wall: 0 }, 0.0, 60.0);
        assert!(none.fits && none.before_cliff.is_none());
    }
}
