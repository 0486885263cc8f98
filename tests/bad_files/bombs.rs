//! Small files that would be large, and files without measure: refused with a sentence, in a child process whose
//! address space ends where their content would not.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::files::{gzip, idx, npy, npz};
use crate::harness::folder;

/// Address space of the child in KiB, as `ulimit -v` takes it: code, libraries and stacks included.
const ADDRESS_SPACE: usize = 256 << 10;

/// What counts as hung; docs/reliability.md tells what was measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file, the command that reads it, and what must be in the answer. `{}` is the file.
struct Bomb {
    name: &'static str,
    file: &'static str,
    bytes: fn() -> Vec<u8>,
    command: &'static str,
    code: i32,
    answer: &'static str,
}

const TRAIN: &str = "train {}";
const LABELS: &str = "train {folder}";

const BOMBS: &[Bomb] = &[
    bomb(
        "images that claim 10^12 pixels",
        "train-images-idx3-ubyte",
        || idx(0x0803, &[10_000; 3], &[0; 64]),
        LABELS,
        "promises 1000000000000",
    ),
    bomb(
        "images that claim 2^96 pixels",
        "train-images-idx3-ubyte",
        || idx(0x0803, &[u32::MAX; 3], &[0; 64]),
        LABELS,
        "its header promises",
    ),
    bomb(
        "one image of 6 million pixels",
        "train-images-idx3-ubyte",
        || gzip(&idx(0x0803, &[1, 2000, 3000], &vec![0; 6_000_000])),
        LABELS,
        "pixels",
    ),
    bomb(
        "images in gzip that unpack to 1 GiB",
        "train-images-idx3-ubyte.gz",
        || members(&idx(0x0803, &[1 << 12, 512, 512], &zeros()), 64),
        LABELS,
        "unpacks to far more",
    ),
    bomb(
        "an array that claims 10^12 elements",
        "x.npz",
        || array("<f8", "(1000000, 1000000)", &[0; 64]),
        TRAIN,
        "promises another number",
    ),
    bomb(
        "an array that claims 2^128 elements",
        "x.npz",
        || array("<f8", "(18446744073709551615, 18446744073709551615)", &[0; 64]),
        TRAIN,
        "promises another number",
    ),
    bomb(
        "an array without rows and of 2^64 columns",
        "x.npz",
        || array("<f8", "(0, 9223372036854775808, 4)", &[]),
        TRAIN,
        "is empty",
    ),
    bomb(
        "an array of 4 million columns",
        "x.npz",
        || npz(&[("x.npy", npy("|i1", "(1, 4000000)", &vec![0; 4_000_000]))], true),
        TRAIN,
        "4000000 columns",
    ),
    bomb(
        "an archive whose array unpacks to 256 MiB",
        "x.npz",
        || npz(&[("x.npy", vec![0; 256 << 20])], true),
        TRAIN,
        "unpacks to far more",
    ),
    bomb("an archive whose directory claims 65534 members", "x.npz", many_members, TRAIN, "its directory is cut off"),
    bomb(
        "a table in gzip that unpacks to 1 GiB of zeros",
        "t.csv.gz",
        || members(&zeros(), 64),
        TRAIN,
        "unpacks to far more",
    ),
    bomb(
        "a table in gzip of 1 GiB of line ends",
        "t.csv.gz",
        || members(&vec![b'\n'; 16 << 20], 64),
        TRAIN,
        "unpacks to far more",
    ),
    bomb(
        "a table in gzip of 8 million commas",
        "t.csv.gz",
        || gzip(&vec![b','; 8 << 20]),
        TRAIN,
        "fields in this line",
    ),
    bomb(
        "a table in gzip of 4 million rows of two cells",
        "t.csv.gz",
        || gzip(&[b"a,b\n".as_slice(), &b",\n".repeat(4_000_000)].concat()),
        TRAIN,
        "has no value in any row",
    ),
    bomb("a table of a million columns", "t.csv", || wide(1_000_000), TRAIN, "fields in this line"),
    bomb(
        "a row of a million cells",
        "t.csv",
        || [b"a,b\n1,2\n".as_slice(), &b"1,".repeat(1_000_000)].concat(),
        TRAIN,
        "t.csv:3:1: there are more than",
    ),
    bomb(
        "an endless field",
        "t.csv",
        || [b"a,b\n1,".as_slice(), &vec![b'7'; 32 << 20]].concat(),
        TRAIN,
        "not a finite number",
    ),
    bomb(
        "an endless quoted field",
        "t.csv",
        || [b"a,b\n1,\"".as_slice(), &vec![b'7'; 32 << 20]].concat(),
        TRAIN,
        "never closed",
    ),
    bomb("an endless name", "t.csv", || vec![b'a'; 32 << 20], TRAIN, "characters long"),
    bomb(
        "lists in lists",
        "run.toml",
        || [b"[search]\na = ".as_slice(), &vec![b'['; 100_000]].concat(),
        "train digits --config {}",
        "this is not TOML",
    ),
    bomb(
        "tables in tables",
        "run.toml",
        || [b"[search]\na = ".as_slice(), &b"{a=".repeat(100_000)].concat(),
        "train digits --config {}",
        "",
    ),
    bomb(
        "a key of 100000 parts",
        "run.toml",
        || [b"search.a".as_slice(), &b".a".repeat(100_000), b" = 1"].concat(),
        "train digits --config {}",
        "",
    ),
    bomb(
        "a section of 100000 parts",
        "run.toml",
        || [b"[search".as_slice(), &b".a".repeat(100_000), b"]\n"].concat(),
        "train digits --config {}",
        "",
    ),
    Bomb {
        code: 6,
        ..bomb(
            "weights whose header claims 2^63 bytes",
            "w.safetensors",
            || [&(1_u64 << 63).to_le_bytes()[..], b"{}"].concat(),
            "train digits --init {} --epochs 1",
            "is not a safetensors file",
        )
    },
    Bomb {
        code: 6,
        ..bomb(
            "weights that claim 10^12 elements",
            "w.safetensors",
            || weights("[1000000,1000000]", "[0,4000000000000]"),
            "train digits --init {} --epochs 1",
            "is not a safetensors file",
        )
    },
    Bomb {
        code: 6,
        ..bomb(
            "weights whose size overflows",
            "w.safetensors",
            || weights("[4294967296,4294967296,16]", "[0,0]"),
            "train digits --init {} --epochs 1",
            "is not a safetensors file",
        )
    },
    Bomb {
        code: 6,
        ..bomb(
            "weights whose header is nested 100000 deep",
            "w.safetensors",
            || headed(&"[".repeat(100_000)),
            "train digits --init {} --epochs 1",
            "is not a safetensors file",
        )
    },
];

const fn bomb(
    name: &'static str,
    file: &'static str,
    bytes: fn() -> Vec<u8>,
    command: &'static str,
    answer: &'static str,
) -> Bomb {
    Bomb { name, file, bytes, command, code: 3, answer }
}

fn zeros() -> Vec<u8> {
    vec![0; 16 << 20]
}

/// gzip reads members one after the other as one stream, so a large bomb is quickly made of many equal ones.
fn members(bytes: &[u8], count: usize) -> Vec<u8> {
    gzip(bytes).repeat(count)
}

fn array(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    npz(&[("x.npy", npy(descr, shape, body))], false)
}

fn many_members() -> Vec<u8> {
    let mut archive = array("<f8", "(1,)", &[0; 8]);
    let count = archive.len() - 22 + 8;
    archive[count..count + 4].copy_from_slice(&[0xfe, 0xff, 0xfe, 0xff]);
    archive
}

fn wide(columns: usize) -> Vec<u8> {
    let names: String = (0..columns).map(|column| format!("c{column},")).collect();
    format!("{names}y\n{}0\n", "1,".repeat(columns)).into_bytes()
}

fn headed(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

fn weights(shape: &str, offsets: &str) -> Vec<u8> {
    headed(&format!("{{\"layers.0.weight\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}"))
}

/// Runs wgrad in `place` with an address space of so many KiB.
fn run(place: &Path, arguments: &str, address_space: usize) -> (Output, Duration) {
    let program = env!("CARGO_BIN_EXE_wgrad");
    // Only where the system can bound it; elsewhere the sentence and the exit code are still looked at.
    let limit = if cfg!(target_os = "linux") { format!("ulimit -v {address_space} && ") } else { String::new() };
    let mut command = if cfg!(unix) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{limit}exec {program} {arguments} --device cpu --threads 2")]);
        shell
    } else {
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).args(["--device", "cpu", "--threads", "2"]);
        command
    };
    // Variables of the tests are none of the program's, and it would say so.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WGRAD_")) {
        command.env_remove(name);
    }
    let began = Instant::now();
    let child = command.current_dir(place).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("wgrad starts");
    while child.try_wait().expect("a child can be asked").is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().expect("a child can be ended");
            panic!("wgrad {arguments}: no answer after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    (child.wait_with_output().expect("a child can be waited for"), began.elapsed())
}

#[test]
fn what_would_fill_the_memory_is_refused_within_256_mib() {
    let place = folder("bombs");
    let mut wrong = Vec::new();
    for bomb in BOMBS {
        let path = place.join(bomb.file);
        std::fs::write(&path, (bomb.bytes)()).expect("a temporary file can be written");
        if bomb.command == LABELS {
            std::fs::write(place.join("train-labels-idx1-ubyte"), idx(0x0801, &[2], &[0, 1])).expect("as above");
        }
        let arguments = bomb.command.replace("{folder}", ".").replace("{}", bomb.file);
        let (output, seconds) = run(&place, &arguments, ADDRESS_SPACE);
        let said = String::from_utf8_lossy(&output.stderr);
        let shown: String = said.chars().take(300).collect();
        println!("{}: {:.2} s, {shown}", bomb.name, seconds.as_secs_f64());
        let sentence = said.starts_with("error: ")
            && said.len() < 2000
            && said.lines().count() == 1
            && said.matches("; ").count() == 1;
        if output.status.code() != Some(bomb.code) || !sentence || !said.contains(bomb.answer) {
            wrong.push(format!("{}: {:?}, {} bytes: {shown}", bomb.name, output.status, said.len()));
        }
        std::fs::remove_file(path).expect("it was just written");
        let _ = std::fs::remove_file(place.join("train-labels-idx1-ubyte"));
    }
    let _ = std::fs::remove_dir_all(place);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The limit is felt: what is refused above for its content fails here for lack of memory.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_read_in_spite_of_the_limit_would_be_noticed() {
    use std::io::Write;

    let place = folder("felt");
    let mut file = std::fs::File::create(place.join("t.csv")).expect("a temporary file can be made");
    (0..512).for_each(|_| file.write_all(&vec![b'7'; 1 << 20]).expect("it can be written"));
    drop(file);
    let (output, _) = run(&place, "train t.csv", ADDRESS_SPACE);
    let _ = std::fs::remove_dir_all(place);
    let said = String::from_utf8_lossy(&output.stderr);
    let refused = output.status.code() == Some(3) && said.contains("characters long");
    assert!(!refused && !output.status.success(), "512 MiB were read within 256 MiB: {said}");
}

/// A name that leads to what never ends.
#[cfg(unix)]
#[test]
fn devices_and_pipes_under_the_name_of_a_table_are_refused() {
    let place = folder("devices");
    std::os::unix::fs::symlink("/dev/zero", place.join("zero.csv")).expect("a link can be made");
    let (output, _) = run(&place, "train zero.csv", ADDRESS_SPACE);
    let _ = std::fs::remove_dir_all(place);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("zero.csv: is no regular file; "), "{said}");
}
