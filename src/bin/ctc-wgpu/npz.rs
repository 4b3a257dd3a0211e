//! numpy's `.npz`: a zip of `.npy` arrays. Nothing here knows what the arrays mean.
//!
//! Files come from anywhere, so no size that a file claims is believed before bytes have shown it.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use npyz::{AutoSerialize, DType, Deserialize, NpyFile, NpyHeader, Order, TypeChar, WriterBuilder};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::fault::Fault;

/// An array in C order.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
}

/// The elements: integers of any width and sign as `i128`.
#[derive(Debug)]
pub(crate) enum Values {
    Int(Vec<i128>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Values {
    /// Whether these are integers, `float32` or `float64`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "integer",
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
        }
    }
}

/// An archive that is being read.
pub(crate) struct NpzReader {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    progress: ProgressBar,
}

/// The longest header that is parsed; numpy has the same limit, for the same reason.
const LONGEST_HEADER: usize = 10_000;

/// The longest axis of an array without elements. Items, classes and labels cost memory and time,
/// and there no byte of the file stands for them.
const LONGEST_EMPTY_AXIS: usize = 1 << 20;

impl NpzReader {
    pub(crate) fn open(path: &Path, progress: ProgressBar) -> Result<Self, Fault> {
        let fault = |reason: String| Fault::file(path, reason);
        // Opening a pipe may wait for ever, and an archive is read from its end.
        if !std::fs::metadata(path)
            .map_err(|e| fault(e.to_string()))?
            .is_file()
        {
            return Err(fault(
                "not a file: an .npz file is read from its end".to_owned(),
            ));
        }
        let file = File::open(path).map_err(|e| fault(e.to_string()))?;
        let archive = ZipArchive::new(BufReader::new(file))
            .map_err(|e| fault(format!("not an .npz file, or a truncated one: {e}")))?;
        Ok(Self {
            path: path.to_owned(),
            archive,
            progress,
        })
    }

    /// The names of all arrays, in the archive's order; not those that are no text.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let names = self.archive.file_names().flatten();
        names.map(|name| name.strip_suffix(".npy").unwrap_or(&name).to_owned())
    }

    /// The array of that name, if the archive has one.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Array>, Fault> {
        let entry = match self.archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(e) => return Err(Fault::file(&self.path, format!("{name}: {e}"))),
        };
        self.progress.set_message(name.to_owned());
        self.progress.inc_length(entry.size());
        let size = entry.size();
        let mut reader = BufReader::with_capacity(1 << 18, self.progress.wrap_read(entry));
        read_array(&mut reader, size)
            .map(Some)
            .map_err(|reason| Fault::file(&self.path, format!("{name}: {reason}")))
    }
}

/// Reads one `.npy` of `size` bytes, of which the header is a part.
fn read_array(reader: &mut impl Read, size: u64) -> Result<Array, String> {
    let (header, header_bytes) = read_header(reader)?;
    let shape: Vec<usize> = header
        .shape()
        .iter()
        .map(|&axis| usize::try_from(axis).map_err(|_| format!("an axis of {axis} is too long")))
        .collect::<Result<_, _>>()?;
    let (kind, width) = match header.dtype() {
        DType::Plain(ty) => (ty.type_char(), ty.size_field()),
        _ => return Err("is a structured array; plain numbers are needed".to_owned()),
    };
    if !is_read(kind, width) {
        let name = dtype_name(kind, width);
        return Err(format!(
            "has dtype {name}; integers, float32 and float64 are read"
        ));
    }
    let claimed = header.len().checked_mul(width);
    let held = size.saturating_sub(header_bytes);
    if claimed != Some(held) {
        return Err(format!(
            "its header says {shape:?} of {width} bytes each, but {held} bytes follow"
        ));
    }
    if shape.contains(&0)
        && let Some(axis) = shape.iter().find(|axis| **axis > LONGEST_EMPTY_AXIS)
    {
        return Err(format!(
            "has shape {shape:?}: an axis of {axis} items without a number, and {LONGEST_EMPTY_AXIS} are the most"
        ));
    }
    let order = header.order();
    let npy = NpyFile::with_header(header, &mut *reader);
    let values = match (kind, width) {
        (TypeChar::Float, 4) => Values::F32(read_values(npy, order, &shape, |x: f32| x)?),
        (TypeChar::Float, 8) => Values::F64(read_values(npy, order, &shape, |x: f64| x)?),
        (TypeChar::Int, 1) => Values::Int(read_values(npy, order, &shape, |x: i8| x.into())?),
        (TypeChar::Int, 2) => Values::Int(read_values(npy, order, &shape, |x: i16| x.into())?),
        (TypeChar::Int, 4) => Values::Int(read_values(npy, order, &shape, |x: i32| x.into())?),
        (TypeChar::Int, 8) => Values::Int(read_values(npy, order, &shape, |x: i64| x.into())?),
        (TypeChar::Uint, 1) => Values::Int(read_values(npy, order, &shape, |x: u8| x.into())?),
        (TypeChar::Uint, 2) => Values::Int(read_values(npy, order, &shape, |x: u16| x.into())?),
        (TypeChar::Uint, 4) => Values::Int(read_values(npy, order, &shape, |x: u32| x.into())?),
        (TypeChar::Uint, 8) => Values::Int(read_values(npy, order, &shape, |x: u64| x.into())?),
        _ => return Err(format!("has dtype {}", dtype_name(kind, width))),
    };
    // The archive's checksum is compared only when a read meets the end.
    reader.read(&mut [0]).map_err(damaged)?;
    Ok(Array { shape, values })
}

fn is_read(kind: TypeChar, width: u64) -> bool {
    match kind {
        TypeChar::Float => matches!(width, 4 | 8),
        TypeChar::Int | TypeChar::Uint => matches!(width, 1 | 2 | 4 | 8),
        _ => false,
    }
}

/// The header, and how many bytes it took.
fn read_header(reader: &mut impl Read) -> Result<(NpyHeader, u64), String> {
    let mut bytes = vec![0; 10];
    reader.read_exact(&mut bytes).map_err(damaged)?;
    if &bytes[..6] != b"\x93NUMPY" {
        return Err("is not in numpy's .npy format".to_owned());
    }
    let mut length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    if bytes[6] > 1 {
        let mut high = [0; 2];
        reader.read_exact(&mut high).map_err(damaged)?;
        length |= usize::from(u16::from_le_bytes(high)) << 16;
        bytes.extend(high);
    }
    if length > LONGEST_HEADER {
        return Err(format!(
            "its header claims {length} bytes; {LONGEST_HEADER} is the most"
        ));
    }
    let text_at = bytes.len();
    bytes.resize(text_at + length, 0);
    reader.read_exact(&mut bytes[text_at..]).map_err(damaged)?;
    // npyz multiplies the axes unchecked and parses nested brackets by recursion. A header of up to 19 digits can
    // name no product past 2^64, and a plain array has one dict and one tuple; structured ones are refused anyway.
    let text = &bytes[text_at..];
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let brackets = text.iter().filter(|b| b"([{".contains(b)).count();
    if digits > 19 || brackets > 2 {
        return Err("its header does not describe a plain array of numbers".to_owned());
    }
    let header = NpyHeader::from_reader(bytes.as_slice())
        .map_err(|e| format!("its .npy header cannot be read: {e}"))?;
    Ok((header, bytes.len() as u64))
}

fn read_values<R: Read, T: Deserialize, U: Copy>(
    npy: NpyFile<R>,
    order: Order,
    shape: &[usize],
    convert: impl Fn(T) -> U,
) -> Result<Vec<U>, String> {
    let reader = npy.data::<T>().map_err(|e| e.to_string())?;
    // Through `Result`, collecting grows the vector with what arrives and not to what the header promises.
    let values: Vec<U> = reader
        .map(|value| value.map(&convert))
        .collect::<std::io::Result<_>>()
        .map_err(damaged)?;
    Ok(match order {
        Order::C => values,
        Order::Fortran => c_order(&values, shape),
    })
}

fn damaged(error: std::io::Error) -> String {
    format!("truncated or damaged: {error}")
}

/// Reorders values whose first axis is the fastest into C order.
fn c_order<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, axis| {
            let own = *stride;
            *stride *= axis;
            Some(own)
        })
        .collect();
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    let mut sorted = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        sorted.push(values[at]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    sorted
}

/// numpy's name of a dtype.
fn dtype_name(kind: TypeChar, width: u64) -> String {
    let bits = width.saturating_mul(8);
    match kind {
        TypeChar::Bool => "bool".to_owned(),
        TypeChar::Int => format!("int{bits}"),
        TypeChar::Uint => format!("uint{bits}"),
        TypeChar::Float => format!("float{bits}"),
        TypeChar::Complex => format!("complex{bits}"),
        TypeChar::Object => "object".to_owned(),
        TypeChar::ByteStr | TypeChar::UnicodeStr => "string".to_owned(),
        _ => kind.to_str().to_owned(),
    }
}

/// An archive that is being written, its arrays stored as `np.savez` does.
pub(crate) struct NpzWriter<'a> {
    archive: ZipWriter<BufWriter<Deferred<'a>>>,
}

impl<'a> NpzWriter<'a> {
    pub(crate) fn new(file: &'a mut File) -> Self {
        let file = Deferred { file, error: None };
        Self {
            archive: ZipWriter::new(BufWriter::new(file)),
        }
    }

    pub(crate) fn array<T: AutoSerialize>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: impl ExactSizeIterator<Item = T>,
    ) -> std::io::Result<()> {
        let bytes = (values.len() * size_of::<T>()) as u64;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(bytes >= u64::from(u32::MAX) - LONGEST_HEADER as u64);
        self.archive.start_file(format!("{name}.npy"), options)?;
        let shape: Vec<u64> = shape.iter().map(|&axis| axis as u64).collect();
        let mut npy = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&shape)
            .writer(&mut self.archive)
            .begin_nd()?;
        npy.extend(values)?;
        npy.finish()
    }

    pub(crate) fn finish(self) -> std::io::Result<()> {
        let file = self.archive.finish()?.into_inner();
        match file.map_err(std::io::IntoInnerError::into_error)?.error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// A file that accepts everything and keeps its first error for the end: the zip crate prints
/// errors that it meets while an archive is dropped, and our message is the only one that a user
/// should read.
struct Deferred<'a> {
    file: &'a mut File,
    error: Option<std::io::Error>,
}

impl Write for Deferred<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.error.is_none() {
            self.error = self.file.write_all(bytes).err();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Deferred<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}
