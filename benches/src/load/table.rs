//! A report for people.

use super::report::{Process, Report, Spread, Transactions};

/// Threads shown per process.
const THREADS_SHOWN: usize = 12;
/// Threads that used less are not shown, seconds.
const THREAD_CPU_S_MIN: f64 = 0.05;

impl Report {
    /// Prints it.
    pub fn print(&self) {
        let rate = if self.rate == 0 { "as many as are taken".into() } else { format!("{}/s", self.rate) };
        println!("\n{}: {}, {rate}, {:.0} s", self.client, self.workload, self.seconds);
        self.print_transactions();
        println!("\n  {:<26}{:>9}{:>9}{:>9}{:>9}", "", "p50", "p90", "p99", "max");
        row("submit to receipt, ms", self.latency_ms, 0);
        row("block interval, ms", self.blocks.interval_ms, 0);
        row("block transactions", self.blocks.transactions, 0);
        row("block size, bytes", self.blocks.bytes, 0);
        let b = &self.blocks;
        println!("  {} blocks ({} empty), {:.1} Mgas/s", b.count, b.empty, b.gas_per_s / 1e6);
        self.print_reads();
        self.print_processes();
        self.print_machine();
    }

    fn print_transactions(&self) {
        println!("\n  finalised   {:>9.1} tx/s", self.finalised_per_s);
        let (offered, refused) = (self.offered_per_s, self.refused_per_s);
        println!("  offered     {offered:>9.1} tx/s, of which {refused:.1} refused");
        counts("offered in the window", &self.transactions);
        counts("in the whole run", &self.whole_run);
        if let Some(share) = self.lost_still_waiting {
            println!("    of {} lost ones asked for, the node still has {} waiting", share.of, share.count);
        }
        for (reason, count) in &self.reasons {
            println!("    refused {count} times in all: {reason}");
        }
        if self.tool.held_back > 0 {
            println!("    {} not offered: too many requests were under way", self.tool.held_back);
        }
        if self.tool.unsigned > 0 {
            println!("    {} not offered: not signed in time (more with --ahead)", self.tool.unsigned);
        }
    }

    fn print_reads(&self) {
        if !self.reads.is_empty() {
            println!("\n  {:<26}{:>9}{:>9}{:>9}{:>9}", "reads, ms", "p50", "p90", "p99", "max");
        }
        for reads in &self.reads {
            row(&reads.method, reads.latency_ms, 1);
            println!("    {} answered, {} errors", reads.answered, reads.errors);
            if let Some(error) = &reads.last_error {
                println!("    {error}");
            }
        }
        if self.tool.reads_held_back > 0 {
            println!("    {} reads not made: too many were under way", self.tool.reads_held_back);
        }
    }

    fn print_processes(&self) {
        if !self.processes.is_empty() {
            println!("\n  process          CPU s   us/tx   RSS MiB   peak   disk B/tx   threads, CPU s");
        }
        for p in &self.processes {
            let shown = p.threads.iter().filter(|(_, cpu_s)| *cpu_s >= THREAD_CPU_S_MIN);
            let threads: Vec<String> =
                shown.take(THREADS_SHOWN).map(|(name, cpu_s)| format!("{name} {cpu_s:.2}")).collect();
            println!("{}   {}", process(p), threads.join(", "));
        }
    }

    fn print_machine(&self) {
        let (m, tool) = (&self.machine, &self.tool);
        println!(
            "\n  {} processors for {:.0} s: network {:.1} s, this tool {:.1} s, others {:.1} s, stolen {:.1} s",
            m.count, self.seconds, m.watched_s, m.tool_s, m.others_s, m.stolen_s
        );
        println!(
            "  this tool: {:.2} processors, {:.0} MiB at most, {} signed ahead, {} while running",
            tool.processors, tool.peak_rss_mib, tool.signed_ahead, tool.signed_meanwhile
        );
    }
}

fn process(p: &Process) -> String {
    let disk = p.disk_bytes_per_transaction.map_or("-".into(), |bytes| format!("{bytes:.0}"));
    format!(
        "  {:<14}{:>8.2}{:>8.0}{:>10.0}{:>7.0}{:>12}",
        p.name, p.cpu_s, p.cpu_us_per_transaction, p.rss_mib, p.peak_rss_mib, disk
    )
}

fn counts(which: &str, counts: &Transactions) {
    let Transactions { accepted, finalised, lost, unanswered } = counts;
    println!(
        "  {which}: {accepted} accepted, {finalised} of them finalised, {lost} lost; {unanswered} never answered"
    );
}

fn row(name: &str, spread: Spread, digits: usize) {
    let Spread { p50, p90, p99, max } = spread;
    println!("  {name:<26}{p50:>9.digits$}{p90:>9.digits$}{p99:>9.digits$}{max:>9.digits$}");
}
