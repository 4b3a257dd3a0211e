//! A file that claims a wrong size is reported on one line with exit status 2, never by an abort.

use std::io::Write;

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::support::{Npz, command, rejected, save, scratch, tool};

/// Every command that reads a batch.
const READERS: [&[&str]; 6] = [
    &["loss", "--backend", "cpu"],
    &["loss", "--backend", "reference"],
    &["decode"],
    &["decode", "--beam", "4"],
    &["align"],
    &["check"],
];

/// Asserts that all of them reject the file.
#[track_caller]
fn rejected_by_all(path: &str, reason: &str) {
    for reader in READERS {
        rejected(&[reader, &[path]].concat(), path, reason);
    }
}

#[test]
fn a_long_axis_of_an_empty_array_is_rejected() {
    let max = i32::MAX as u64;
    for shape in [
        [3, 0, max],
        [0, 4, max],
        [0, max, 3],
        [max, 0, 3],
        [0, max, max],
        [1 << 40, 0, 1 << 20],
        [0, 1 << 62, 2],
    ] {
        let items = shape[0].min(4);
        let path = Npz::default()
            .with::<f32>("logits", &shape, &[])
            .with("labels", &[items, 0], &[0_i32; 0])
            .save("axis.npz");
        rejected_by_all(&path, "logits: ");
    }
    // The other arrays.
    let none = || {
        Npz::default()
            .with::<f32>("logits", &[0, 4, 3], &[])
            .with::<i32>("labels", &[0, 2], &[])
    };
    for (name, shape) in [
        ("labels", vec![0, max]),
        ("labels", vec![1 << 40, 0]),
        ("label_lengths", vec![0, max]),
        ("logit_lengths", vec![1 << 50, 0]),
        ("blank", vec![0, max]),
    ] {
        let path = none().with::<i32>(name, &shape, &[]).save("axis.npz");
        rejected_by_all(&path, &format!("{name}: has shape"));
    }
}

#[test]
fn an_empty_batch_with_the_longest_axes_succeeds() {
    let max = 1 << 20;
    for shape in [[3, 0, max], [0, max, max], [0, 4, max]] {
        let path = Npz::default()
            .with::<f32>("logits", &shape, &[])
            .with("labels", &[shape[0], 0], &[0_i32; 0])
            .save("longest.npz");
        for reader in READERS {
            let run = tool([reader, &[&path]].concat());
            assert_eq!(
                run.status, 0,
                "{reader:?} {shape:?}: {}{}",
                run.stdout, run.stderr
            );
        }
    }
}

/// Writes an archive with an array of `bytes` zero bytes, deflated, and small labels.
#[cfg(target_os = "linux")]
fn deflated_zeros(name: &str, descr: &str, shape: &str, bytes: usize) -> String {
    let path = scratch(name);
    let file = std::fs::File::create(&path).expect("the scratch file");
    let mut zip = ZipWriter::new(file);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("logits.npy", options).expect("an entry");
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let length = u16::try_from(header.len()).expect("a short header");
    zip.write_all(b"\x93NUMPY\x01\x00").expect("the start");
    zip.write_all(&length.to_le_bytes()).expect("the length");
    zip.write_all(header.as_bytes()).expect("the header");
    let zeros = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        zip.write_all(&zeros).expect("zeros");
    }
    for (array, values) in [
        ("labels", [1_i32, 2, 1, 2]),
        ("label_lengths", [1, 1, 1, 1]),
    ] {
        let npz = Npz::default().with(array, &[4], &values).bytes();
        let mut entry = zip::ZipArchive::new(std::io::Cursor::new(npz)).expect("an archive");
        zip.start_file(format!("{array}.npy"), options)
            .expect("an entry");
        std::io::copy(&mut entry.by_index(0).expect("an entry"), &mut zip).expect("its bytes");
    }
    zip.finish().expect("the end");
    path.display().to_string()
}

#[test]
#[cfg(target_os = "linux")]
fn a_deflated_gibibyte_under_a_memory_limit_is_reported_on_one_line() {
    let path = deflated_zeros("bomb.npz", "<f4", "(4, 1024, 65536)", 1 << 30);
    assert!(std::fs::metadata(&path).expect("the file").len() < 2 << 20);
    // In KiB: too little for the batch, for the gradient, or for a copy of it.
    for limit in ["500000", "1400000", "2500000"] {
        for reader in [
            &["loss", "--backend", "cpu"][..],
            &["loss", "--backend", "reference"],
            &["decode", "--beam", "4"],
        ] {
            if reader[0] == "decode" && limit != "500000" {
                continue;
            }
            let script = "ulimit -v \"$0\"; exec \"$@\"";
            let mut limited = std::process::Command::new("sh");
            limited.args(["-c", script, limit, env!("CARGO_BIN_EXE_ctc-wgpu")]);
            limited.args(reader).arg(&path);
            // The stacks of many threads would also need memory.
            limited.env("RAYON_NUM_THREADS", "2");
            let run = limited.output().expect("sh starts");
            let stderr = String::from_utf8(run.stderr).expect("UTF-8");
            assert_eq!(
                run.status.code(),
                Some(2),
                "{limit} {reader:?}: {:?} {stderr}",
                run.status
            );
            assert_eq!(stderr.lines().count(), 1, "{limit} {reader:?}: {stderr}");
            assert!(stderr.contains("bomb.npz: out of memory"), "{stderr}");
        }
    }
}

/// Asserts that a file is read correctly or rejected on one line.
#[track_caller]
fn never_aborts(bytes: &[u8], claim: impl std::fmt::Debug) {
    let path = save("claims.npz", bytes);
    let run = tool(["loss", "--backend", "cpu", &path]);
    assert!([0, 2].contains(&run.status), "{claim:?}: {}", run.stderr);
    assert!(run.stderr.lines().count() <= 1, "{claim:?}: {}", run.stderr);
    // If it was read, the loss is right.
    assert!(
        run.status == 2 || run.stdout.contains("2.09186"),
        "{claim:?}: {}",
        run.stdout
    );
}

#[test]
fn wrong_counts_and_sizes_in_the_archive_never_abort() {
    let bytes = Npz::small().bytes();
    let end = bytes.len() - 22;
    // In the end record: the number of entries on this disk and in total, and the directory's size
    // and offset.
    for (at, width) in [(8, 2), (10, 2), (8, 4), (12, 4), (16, 4), (8, 12)] {
        for byte in [0, 1, 0x7f, 0xfe, 0xff] {
            let mut changed = bytes.clone();
            changed[end + at..end + at + width].fill(byte);
            never_aborts(&changed, (at, width, byte));
        }
    }
    // In the directory: the sizes of an entry.
    let entry = bytes
        .windows(4)
        .position(|w| w == b"PK\x01\x02")
        .expect("the directory");
    for size in [0_u32, 1, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff] {
        for field in [20, 24] {
            let mut changed = bytes.clone();
            changed[entry + field..entry + field + 4].copy_from_slice(&size.to_le_bytes());
            never_aborts(&changed, (field, size));
        }
    }
}

#[test]
fn zip64_with_any_numbers_is_rejected_or_read_and_never_aborts() {
    let bytes = Npz::small().bytes();
    let end = bytes.len() - 22;
    let directory = u32::from_le_bytes(bytes[end + 16..end + 20].try_into().expect("4 bytes"));
    let size = u32::from_le_bytes(bytes[end + 12..end + 16].try_into().expect("4 bytes"));
    let (directory, size) = (u64::from(directory), u64::from(size));
    let huge = [
        1_u64 << 20,
        1 << 32,
        1 << 45,
        1 << 56,
        1 << 60,
        i64::MAX as u64,
        u64::MAX,
    ];
    let mut claims = Vec::new();
    for huge in huge {
        claims.extend([
            [huge, size, directory],
            [4, huge, directory],
            [4, size, huge],
            [huge, huge, directory],
            [huge, size, huge],
            [huge, huge, huge],
        ]);
    }
    for [entries, size, directory] in claims {
        // PKWARE's APPNOTE 4.3.14 and 4.3.15: the zip64 end, its locator, and the old end that
        // points to them.
        let mut zip64 = bytes[..end].to_vec();
        zip64.extend(b"PK\x06\x06");
        zip64.extend(44_u64.to_le_bytes());
        zip64.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [entries, entries, size, directory] {
            zip64.extend(number.to_le_bytes());
        }
        zip64.extend(b"PK\x06\x07\0\0\0\0");
        zip64.extend((end as u64).to_le_bytes());
        zip64.extend(1_u32.to_le_bytes());
        zip64.extend(b"PK\x05\x06\0\0\0\0");
        zip64.extend([0xff; 12]);
        zip64.extend([0, 0]);
        never_aborts(&zip64, [entries, size, directory]);
    }
}

#[test]
fn headers_of_any_type_and_width_are_rejected() {
    for descr in [
        "|S2147483647",
        "<U2147483647",
        "<f2147483647",
        "|V9223372036854",
        "<i0",
        "|S0",
        "<f0",
        "<m8",
        "<M8[ns]",
        "<c16",
        "|b1",
    ] {
        for (name, shape) in [
            ("logits", "(2, 4, 3)"),
            ("labels", "(2, 2)"),
            ("label_lengths", "(2,)"),
        ] {
            let header =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
            let path = Npz::small().with_header(name, &header, 96).save("type.npz");
            rejected(
                &["loss", "--backend", "cpu", &path],
                "type.npz",
                &format!("{name}: "),
            );
        }
    }
    // A long string instead of a type or a key.
    let long = "x".repeat(9_000);
    for header in [
        format!("{{'descr': '{long}', 'fortran_order': False, 'shape': (2, 4, 3), }}"),
        format!("{{'{long}': '<f4', 'fortran_order': False, 'shape': (2, 4, 3), }}"),
        format!("{{'descr': '<f4', 'fortran_order': '{long}', 'shape': (2, 4, 3), }}"),
    ] {
        let path = Npz::small()
            .with_header("logits", &header, 96)
            .save("long.npz");
        let run = command()
            .args(["loss", &path])
            .output()
            .expect("the tool starts");
        let stderr = String::from_utf8(run.stderr).expect("UTF-8");
        assert_eq!(run.status.code(), Some(2), "{stderr}");
        assert!(stderr.len() < 1_000, "{stderr}");
    }
}
