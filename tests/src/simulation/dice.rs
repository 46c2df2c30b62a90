//! Random numbers that are the same for a seed on every machine and with every version of every library.

/// A generator (xoshiro256**, its state filled by splitmix64).
#[derive(Clone, Debug)]
pub struct Dice([u64; 4]);

impl Dice {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Self([next(), next(), next(), next()])
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`; 0 where there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// An index of a list of this length.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// A number from `least` to `most` whose order of magnitude is evenly spread.
    pub fn magnitude(&mut self, least: u64, most: u64) -> u64 {
        let (low, high) = ((least.max(1) as f64).ln(), (most.max(1) as f64).ln());
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        ((low + (high - low) * share).exp() as u64).clamp(least, most)
    }

    /// True in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// True in `permille` of a thousand cases.
    pub fn rarely(&mut self, permille: u64) -> bool {
        permille > 0 && self.below(1000) < permille
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    /// Puts the list in random order.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            let other = self.index(at + 1);
            list.swap(at, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        let mut dice = Dice::new(7);
        let first: Vec<u64> = (0..3).map(|_| dice.next()).collect();
        let mut again = Dice::new(7);
        assert_eq!(first, [again.next(), again.next(), again.next()]);
        assert_ne!(first[0], Dice::new(8).next());
    }

    #[test]
    fn ranges_are_kept() {
        let mut dice = Dice::new(1);
        for _ in 0..10_000 {
            assert!((5..=9).contains(&dice.between(5, 9)));
            assert!((10..=1_000_000).contains(&dice.magnitude(10, 1_000_000)));
            assert!(dice.below(3) < 3);
        }
        assert_eq!(dice.below(0), 0);
    }
}
