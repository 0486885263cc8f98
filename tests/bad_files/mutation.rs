//! Seeded damage to files: what a bad disk, a bad program or a bad person does to them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers at the ends of the types that headers use.
const BOUNDARIES: [u64; 18] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    1_000_000_000_000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// The same as text, and a few that only text has.
const WRITTEN: [&str; 14] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967295",
    "4294967296",
    "1000000000000",
    "9223372036854775808",
    "18446744073709551616",
    "1e400",
    "-1e-400",
    "nan",
    "0x10",
];

/// Inputs never grow beyond this, so that every case is quick.
const LONGEST: usize = 16 << 10;

/// Case number `case` of a format: one of its good files with one to four damages. The same number gives the same bytes.
pub fn damaged(seeds: &[Vec<u8>], tokens: &[&[u8]], case: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(case);
    let mut below = move |end: usize| random.next_u32() as usize % end.max(1);
    let mut bytes = seeds[below(seeds.len())].clone();
    for _ in 0..=below(4) {
        damage(&mut bytes, seeds, tokens, &mut below);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn damage(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], tokens: &[&[u8]], below: &mut dyn FnMut(usize) -> usize) {
    let at = below(bytes.len());
    let end = (at + 1 + below(16)).min(bytes.len());
    match below(11) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = below(256) as u8),
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(at..end)),
        4 => bytes.extend_from_within(at..end),
        5 => {
            let piece = bytes[at..end].to_vec();
            insert(bytes, at, &piece.repeat(1 + below(8)));
        }
        6 => {
            let piece: Vec<u8> = (0..=below(8)).map(|_| below(256) as u8).collect();
            insert(bytes, at, &piece);
        }
        7 => {
            // The beginning of one and the end of another.
            let other = &seeds[below(seeds.len())];
            bytes.truncate(at);
            bytes.extend_from_slice(&other[below(other.len())..]);
        }
        8 => {
            let width = 1 << below(4);
            let number = BOUNDARIES[below(BOUNDARIES.len())];
            let raw = if below(2) == 0 { number.to_le_bytes() } else { number.rotate_right(8 * width).to_be_bytes() };
            bytes.iter_mut().skip(at).zip(&raw[..width as usize]).for_each(|(byte, new)| *byte = *new);
        }
        9 => {
            // The digits at or after this place.
            let digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = bytes[at..].iter().position(digit).map(|offset| at + offset) else { return };
            let length = bytes[start..].iter().take_while(|byte| digit(byte)).count();
            bytes.drain(start..start + length);
            insert(bytes, start, WRITTEN[below(WRITTEN.len())].as_bytes());
        }
        _ => {
            let token = tokens[below(tokens.len())];
            if below(2) == 0 {
                insert(bytes, at, token);
            } else {
                let end = (at + token.len()).min(bytes.len());
                bytes.drain(at..end);
                insert(bytes, at, token);
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

#[test]
fn a_case_is_the_same_every_time_and_differs_from_its_file_and_from_other_cases() {
    let seeds = vec![b"a,b,y\n1,2,3\n4,5,6\n".to_vec(), b"x,y\n0.5,1\n".to_vec()];
    let tokens: &[&[u8]] = &[b"\"", b"nan"];
    let cases: Vec<Vec<u8>> = (0..1000).map(|case| damaged(&seeds, tokens, case)).collect();
    assert_eq!(cases[7], damaged(&seeds, tokens, 7));
    let different: std::collections::BTreeSet<&Vec<u8>> = cases.iter().collect();
    assert!(different.len() > 900, "{} of 1000 cases differ", different.len());
    let unchanged = cases.iter().filter(|case| seeds.contains(case)).count();
    assert!(unchanged < 60, "{unchanged} of 1000 cases are no damage");
}
