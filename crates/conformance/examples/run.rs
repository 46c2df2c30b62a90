use lonja_conformance::{Failure, Format, Progress, Summary, run};
struct Line;
impl Progress for Line {
    fn file_done(&mut self, done: usize, of: usize, s: &Summary) {
        if done % 200 == 0 { eprintln!("{done}/{of} run {} failed {} skipped {}", s.run, s.failed, s.skipped); }
    }
    fn failed(&mut self, failure: &Failure) { println!("{}", serde_json::to_string(failure).unwrap()); }
}
fn main() {
    let mut args = std::env::args().skip(1);
    let format = if args.next().unwrap() == "statetest" { Format::State } else { Format::Block };
    let paths: Vec<_> = args.map(Into::into).collect();
    let summary = run(format, &paths, &mut Line).unwrap();
    eprintln!("{}", serde_json::to_string(&summary).unwrap());
}
