//! Reads and writes numpy's `.npz` format: a zip archive of `.npy` arrays.
//!
//! Files are untrusted: no memory is allocated for a size that a header claims before the bytes
//! have been read.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use npyz::{AutoSerialize, DType, Deserialize, NpyFile, NpyHeader, Order, TypeChar, WriterBuilder};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use crate::error::FileError;

/// An array in C order.
#[derive(Debug)]
pub struct Array {
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The elements.
    pub values: Values,
}

/// The elements of an array. Integers of any width and sign are converted to `i128`.
#[derive(Debug)]
pub enum Values {
    /// Integers and booleans.
    Int(Vec<i128>),
    /// float16 and float32.
    F32(Vec<f32>),
    /// float64.
    F64(Vec<f64>),
}

impl Values {
    /// Returns `integer`, `float32` or `float64`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "integer",
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
        }
    }
}

/// Reads the arrays of an archive.
#[derive(Debug)]
pub struct NpzReader {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    progress: ProgressBar,
}

/// The length in bytes of the longest header that is parsed. numpy has the same limit.
const LONGEST_HEADER: usize = 10_000;

/// The longest axis of an array without elements. Items, classes and labels cost memory and time
/// although the file contains no bytes for them.
const LONGEST_EMPTY_AXIS: usize = 1 << 20;

impl NpzReader {
    /// Opens an archive. `progress` shows the bytes that [`array`](Self::array) reads.
    ///
    /// # Errors
    /// The file is not a regular file, cannot be read, or is not an archive.
    pub fn open(path: &Path, progress: ProgressBar) -> Result<Self, FileError> {
        let error = |reason: String| FileError::new(path, reason);
        // Opening a pipe may block forever, and reading an archive starts at its end.
        if !std::fs::metadata(path)
            .map_err(|e| error(e.to_string()))?
            .is_file()
        {
            return Err(error(
                "not a regular file: an .npz file cannot be read from a pipe, a device or a folder"
                    .to_owned(),
            ));
        }
        let file = File::open(path).map_err(|e| error(e.to_string()))?;
        let archive = ZipArchive::new(BufReader::new(file))
            .map_err(|e| error(format!("not an .npz file, or a truncated one: {e}")))?;
        Ok(Self {
            path: path.to_owned(),
            archive,
            progress,
        })
    }

    /// Returns the names of all arrays, in the archive's order, except those that are not valid
    /// text.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let names = self.archive.file_names().flatten();
        names.map(|name| name.strip_suffix(".npy").unwrap_or(&name).to_owned())
    }

    /// Reads the array of that name, if the archive contains it.
    ///
    /// # Errors
    /// The array is truncated, too large, or of another type than [`Values`] has.
    pub fn array(&mut self, name: &str) -> Result<Option<Array>, FileError> {
        let entry = match self.archive.by_name(&format!("{name}.npy")) {
            Ok(entry) => entry,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(e) => return Err(FileError::new(&self.path, format!("{name}: {e}"))),
        };
        self.progress.set_message(name.to_owned());
        self.progress.inc_length(entry.size());
        let size = entry.size();
        let mut reader = BufReader::with_capacity(1 << 18, self.progress.wrap_read(entry));
        read_array(&mut reader, size)
            .map(Some)
            .map_err(|reason| FileError::new(&self.path, format!("{name}: {reason}")))
    }
}

/// Reads one `.npy` array of `size` bytes, including its header.
fn read_array(reader: &mut impl Read, size: u64) -> Result<Array, String> {
    let (header, header_bytes) = read_header(reader)?;
    let shape: Vec<usize> = header
        .shape()
        .iter()
        .map(|&axis| usize::try_from(axis).map_err(|_| format!("an axis of {axis} is too long")))
        .collect::<Result<_, _>>()?;
    let (kind, width) = match header.dtype() {
        DType::Plain(ty) => (ty.type_char(), ty.size_field()),
        _ => return Err("is a structured array: expected plain numbers".to_owned()),
    };
    if !is_supported(kind, width) {
        let name = dtype_name(kind, width);
        return Err(format!(
            "has dtype {name}: expected integers, float32 or float64"
        ));
    }
    let claimed = header.len().checked_mul(width);
    let held = size.saturating_sub(header_bytes);
    if claimed != Some(held) {
        return Err(format!(
            "the header describes shape {shape:?} with {width} bytes per element, but {held} bytes follow"
        ));
    }
    if shape.contains(&0)
        && let Some(axis) = shape.iter().find(|axis| **axis > LONGEST_EMPTY_AXIS)
    {
        return Err(format!(
            "has shape {shape:?}, which has no elements: each axis must be at most {LONGEST_EMPTY_AXIS} \
             long, but one is {axis}"
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
    // The zip reader compares the checksum only when a read reaches the end of the entry.
    reader.read(&mut [0]).map_err(damaged)?;
    Ok(Array { shape, values })
}

fn is_supported(kind: TypeChar, width: u64) -> bool {
    match kind {
        TypeChar::Float => matches!(width, 4 | 8),
        TypeChar::Int | TypeChar::Uint => matches!(width, 1 | 2 | 4 | 8),
        _ => false,
    }
}

/// Reads the header; returns it and its length in bytes.
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
            "the header claims {length} bytes: at most {LONGEST_HEADER} are allowed"
        ));
    }
    let text_at = bytes.len();
    bytes.resize(text_at + length, 0);
    reader.read_exact(&mut bytes[text_at..]).map_err(damaged)?;
    // npyz multiplies the axes without an overflow check and parses nested brackets by recursion.
    // With at most 19 digits in the header, the product is below 2^64. A plain array has one dict
    // and one tuple, and structured arrays are not supported.
    let text = &bytes[text_at..];
    let digits = text.iter().filter(|b| b.is_ascii_digit()).count();
    let brackets = text.iter().filter(|b| b"([{".contains(b)).count();
    if digits > 19 || brackets > 2 {
        return Err("the header does not describe a plain array of numbers".to_owned());
    }
    let header = NpyHeader::from_reader(bytes.as_slice())
        .map_err(|e| format!("the .npy header cannot be read: {e}"))?;
    Ok((header, bytes.len() as u64))
}

fn read_values<R: Read, T: Deserialize, U: Copy>(
    npy: NpyFile<R>,
    order: Order,
    shape: &[usize],
    convert: impl Fn(T) -> U,
) -> Result<Vec<U>, String> {
    let reader = npy.data::<T>().map_err(|e| e.to_string())?;
    // Collecting into a `Result` grows the vector as values arrive, without a reservation of the
    // size that the header claims.
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

/// Reorders values in Fortran order, whose first axis varies fastest, to C order.
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

/// Returns numpy's name of a dtype.
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

/// Writes an archive of uncompressed arrays, as `np.savez` does.
pub struct NpzWriter<'a> {
    archive: ZipWriter<BufWriter<Deferred<'a>>>,
}

impl<'a> NpzWriter<'a> {
    /// Creates an archive in an empty file.
    pub fn new(file: &'a mut File) -> Self {
        let file = Deferred { file, error: None };
        Self {
            archive: ZipWriter::new(BufWriter::new(file)),
        }
    }

    /// Writes an array in C order.
    ///
    /// # Errors
    /// The format cannot represent the array.
    pub fn array<T: AutoSerialize>(
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

    /// Ends the archive.
    ///
    /// # Errors
    /// The first error of writing to the file.
    pub fn finish(self) -> std::io::Result<()> {
        let file = self.archive.finish()?.into_inner();
        match file.map_err(std::io::IntoInnerError::into_error)?.error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// A file whose writes always succeed and that returns the first error at the end. Otherwise the
/// zip crate would print an error when the archive is dropped, in addition to the tool's message.
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
