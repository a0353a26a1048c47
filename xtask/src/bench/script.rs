//! The guest's side of a measurement: start the tracer, wait until it is armed, run the loop, end the tracer.

use super::rows::{Row, Subject};
use crate::vm;

/// What starts a line that is meant for us.
pub(super) const MARK: &str = "@bench@";

/// Where portscope says that it is armed.
const READY: &str = "/tmp/ready";

const FUNCTIONS: &str = r#"
# The first seconds of a booted kernel are busy with its own work.
sleep 10
armed() {
  tries=0
  until [ -e /tmp/ready ]; do
    tries=$((tries + 1))
    if [ $tries -gt 300 ] || ! kill -0 $tracer 2>/dev/null; then return 1; fi
    sleep 0.1
  done
}
end_tracer() {
  kill -INT $tracer
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -0 $tracer 2>/dev/null || break
    sleep 0.5
  done
  kill -KILL $tracer 2>/dev/null
  wait $tracer
  rm -f /tmp/ready /tmp/out*
}
failed() {
  echo "@bench@ failed $1"
  head -c 2000 /tmp/err
}
"#;

/// The script that measures the rows in order.
pub(super) fn measuring(rows: &[Row]) -> String {
    let parts = rows.iter().enumerate().map(|(at, row)| measured(at, row));
    [FUNCTIONS.to_owned()].into_iter().chain(parts).chain(["exit 0\n".to_owned()]).collect()
}

fn measured(at: usize, row: &Row) -> String {
    let (start, wait) = match row.subject {
        Subject::Nothing => return format!("echo '{MARK} row {at}'\nchurn || failed 'the loop failed'\n"),
        Subject::Portscope(arguments) => {
            let words: Vec<String> = ["portscope"]
                .iter()
                .chain(arguments)
                .chain(&["--ready-file", READY])
                .map(|word| (*word).to_owned())
                .collect();
            (vm::quoted(&words), "armed")
        }
        Subject::LibbpfTools(name) => (name.to_owned(), "sleep 5"),
    };
    format!(
        "echo '{MARK} row {at}'\n\
         {start} >/tmp/out 2>/tmp/err &\n\
         tracer=$!\n\
         if {wait}; then\n\
           sleep 1\n\
           churn || failed 'the loop failed'\n\
           kill -0 $tracer 2>/dev/null || failed 'the tracer ended before the loop did'\n\
         else\n\
           failed 'the tracer ended, or was not armed within 30 s'\n\
         fi\n\
         end_tracer\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{super::rows::ROWS, *};

    #[test]
    fn every_row_has_its_part_in_order() {
        let script = measuring(ROWS);
        let places: Vec<_> = (0..ROWS.len()).map(|at| script.find(&format!("{MARK} row {at}'"))).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    }
}
