//! Mutations of good bytes, the same for a number on every machine.

use crate::simulation::dice::Dice;

/// No input grows beyond this.
const BYTES_MOST: usize = 64 << 10;
/// Bytes at which decoders turn.
const EDGES: [u8; 12] = [0x00, 0x01, 0x17, 0x1f, 0x7f, 0x80, 0xb8, 0xc0, 0xf7, 0xf8, 0xfe, 0xff];

/// Changes inputs.
pub struct Mutator {
    dice: Dice,
}

impl Mutator {
    /// The mutations of this number.
    pub fn new(number: u64) -> Self {
        Self { dice: Dice::new(number) }
    }

    /// One of these, changed in a few places.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(seeds);
        for _ in 0..self.dice.between(1, 8) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(BYTES_MOST);
        bytes
    }

    fn pick(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        match seeds.len() {
            0 => Vec::new(),
            count => seeds[self.dice.index(count)].clone(),
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.dice.index(bytes.len().max(1));
        let until = at + self.dice.index(bytes.len().saturating_sub(at).min(64) + 1);
        match self.dice.below(10) {
            0 | 1 => self.set(bytes, at, |byte, dice| byte ^ (1 << dice.below(8))),
            2 => self.set(bytes, at, |_, dice| dice.next() as u8),
            3 => self.set(bytes, at, |_, dice| EDGES[dice.index(EDGES.len())]),
            4 => {
                self.set(bytes, at, |byte, dice| byte.wrapping_add(dice.between(0, 2) as u8).wrapping_sub(1))
            }
            5 => self.number(bytes, at),
            6 => bytes.truncate(at),
            7 => drop(bytes.drain(at.min(bytes.len())..until.min(bytes.len()))),
            8 => {
                let again = bytes.get(at..until).unwrap_or_default().to_vec();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), again);
            }
            _ => {
                let other = self.pick(seeds);
                let from = self.dice.index(other.len().max(1));
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
        }
    }

    fn set(&mut self, bytes: &mut [u8], at: usize, to: impl Fn(u8, &mut Dice) -> u8) {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to(*byte, &mut self.dice);
        }
    }

    /// A length or count that is far off.
    fn number(&mut self, bytes: &mut [u8], at: usize) {
        let value =
            [0, 1, u64::from(u32::MAX), u64::MAX, 1 << 31, bytes.len() as u64 + 1][self.dice.index(6)];
        let width = [2, 4, 8][self.dice.index(3)];
        let value = &value.to_be_bytes()[8 - width..];
        if let Some(place) = bytes.get_mut(at..at + width) {
            place.copy_from_slice(value);
        }
    }
}
