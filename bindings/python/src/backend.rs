//! The backends: a GPU, the CPU, or the float64 reference.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use ctc_wgpu::{Batch, CacheLimits, Ctc, Error, reference};
use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rayon::{ThreadPool, ThreadPoolBuilder};
use wgpu::DeviceType;

use crate::arrays::{Arrays, Frames, Labels, Values, layout, slice};
use crate::errors::{catch_panic, exception};
use crate::options::Options;

enum Engine {
    /// A GPU; or the CPU with a thread pool of its own, because the threads of rayon's global pool
    /// do not survive a fork, and that pool cannot be created again.
    Single(Box<Ctc>, Option<ThreadPool>),
    Reference,
}

impl Engine {
    fn cpu() -> PyResult<Self> {
        let pool = ThreadPoolBuilder::new()
            .thread_name(|index| format!("ctc-wgpu {index}"))
            .build()
            .map_err(|error| {
                PyRuntimeError::new_err(format!("could not create threads: {error}"))
            })?;
        Ok(Self::Single(Box::new(pool.install(Ctc::cpu)), Some(pool)))
    }

    fn gpu(ctc: Result<Ctc, Error>) -> PyResult<Self> {
        let ctc = ctc.map_err(|error| exception(&error))?;
        Ok(Self::Single(Box::new(ctc), None))
    }

    fn named(name: &str) -> PyResult<Self> {
        match name.split_once(':') {
            None if name == "auto" => match Ctc::gpu() {
                Ok(ctc) if is_hardware(&ctc) => Ok(Self::Single(Box::new(ctc), None)),
                _ => Self::cpu(),
            },
            None if name == "gpu" => Self::gpu(Ctc::gpu()),
            None if name == "cpu" => Self::cpu(),
            None if name == "reference" => Ok(Self::Reference),
            Some(("gpu", adapter)) => Self::gpu(Ctc::gpu_named(adapter)),
            _ => Err(PyValueError::new_err(format!(
                "backend={name:?}: must be \"auto\", \"gpu\", \"gpu:NAME\", \"cpu\" or \"reference\""
            ))),
        }
    }
}

/// Returns whether the adapter is a GPU and not a software driver.
///
/// A software driver is slower than the CPU backend. Mesa's software drivers also use LLVM, and
/// abort a process that has imported TensorFlow, because TensorFlow's LLVM replaces theirs.
fn is_hardware(ctc: &Ctc) -> bool {
    matches!(ctc.backend(), ctc_wgpu::Backend::Gpu(info) if info.device_type != DeviceType::Cpu)
}

impl Backend {
    /// Calls `function` on the threads of this backend, without the GIL.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        function: impl FnOnce() -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let function = || match &*self.engine {
            Engine::Single(_, Some(pool)) => pool.install(function),
            _ => function(),
        };
        py.detach(|| catch_panic(|| function().map_err(|error| exception(&error))))
    }

    /// Returns the object for alignment and decoding, which the reference does not support.
    pub(crate) fn decoder(&self) -> PyResult<&Ctc> {
        match &*self.engine {
            Engine::Single(ctc, _) => Ok(ctc),
            Engine::Reference => Err(PyValueError::new_err(
                "backend=\"reference\" computes losses only: must be \"auto\", \"gpu\", \"gpu:NAME\" or \"cpu\"",
            )),
        }
    }
}

/// Losses, gradient and reduced loss.
type Losses<T> = (Vec<T>, Vec<T>, Option<T>);

/// Computes losses. Without `grad`, the gradient is empty.
fn losses(
    ctc: &Ctc,
    batch: &Batch<'_>,
    options: &ctc_wgpu::Options,
    grad: bool,
) -> Result<Losses<f32>, Error> {
    if grad {
        let output = ctc.loss_and_grad(batch, options)?;
        Ok((output.loss, output.grad, output.reduced))
    } else {
        let output = ctc.loss(batch, options)?;
        Ok((output.loss, Vec::new(), output.reduced))
    }
}

/// A backend with its compiled kernels and the memory of recent batch shapes. Threads may share it.
#[pyclass(frozen, module = "ctc_wgpu._native")]
pub(crate) struct Backend {
    engine: Arc<Engine>,
}

#[pymethods]
impl Backend {
    #[new]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let engine = Arc::new(py.detach(|| catch_panic(|| Engine::named(name)))?);
        Ok(Self { engine })
    }

    fn __str__(&self) -> String {
        match &*self.engine {
            Engine::Single(ctc, _) => ctc.backend().to_string(),
            Engine::Reference => "float64 reference".into(),
        }
    }

    /// Returns losses `[N]`, the gradient in the shape of `values` or None, and the reduced loss or
    /// None. They are float64 if `values` is.
    #[pyo3(signature = (values, labels, options, *, time_major, frames, weights, grad))]
    #[allow(
        clippy::too_many_arguments,
        reason = "one argument per array of a batch and per choice of the caller"
    )]
    fn compute<'py>(
        &self,
        py: Python<'py>,
        values: Values<'py>,
        labels: Labels<'py>,
        options: &Bound<'py, Options>,
        time_major: bool,
        frames: Option<Frames<'py>>,
        weights: Option<PyReadonlyArray1<'py, f32>>,
        grad: bool,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let arrays = Arrays {
            labels: Some(labels),
            frames,
            weights,
            layout: layout(time_major),
        };
        let shape = values.shape();
        let options = options.get().for_classes(shape[2])?;
        match (&*self.engine, &values) {
            (Engine::Single(ctc, _), Values::Single(values)) => {
                let batch = arrays.batch(slice("logits", values)?, shape)?;
                let result = self.run(py, || losses(ctc, &batch, &options, grad))?;
                to_python(py, result, grad.then_some(shape))
            }
            (Engine::Reference, Values::Double(values)) => {
                let exact = slice("logits", values)?;
                // A batch has float32 logits; the reference reads the float64 ones instead.
                let unused = vec![0.0; exact.len()];
                let batch = arrays.batch(&unused, shape)?;
                let output =
                    self.run(py, || reference::loss_and_grad_f64(&batch, exact, &options))?;
                let result = (output.loss, output.grad, output.reduced);
                to_python(py, result, grad.then_some(shape))
            }
            _ => Err(PyTypeError::new_err(
                "logits must be float64 for the reference, and float32 for other backends",
            )),
        }
    }

    /// Limits what is kept for later batches. The reference keeps nothing.
    fn set_cache_limits(&self, py: Python<'_>, pipelines: usize, shapes: usize) -> PyResult<()> {
        let limits = CacheLimits::default().pipelines(pipelines).shapes(shapes);
        self.run(py, || {
            if let Engine::Single(ctc, _) = &*self.engine {
                ctc.set_cache_limits(limits);
            }
            Ok(())
        })
    }

    /// Panics where a call would compute, for the tests.
    fn _panic(&self, py: Python<'_>, message: &str) -> PyResult<()> {
        self.run(py, || panic!("{message}"))
    }

    /// Ensures that this backend is never dropped.
    ///
    /// In a forked process, its threads and device do not respond, and dropping it would wait for
    /// them forever.
    fn abandon(&self) {
        mem::forget(Arc::clone(&self.engine));
    }
}

/// Converts results to numpy arrays, without copying the vectors.
fn to_python<'py, T>(
    py: Python<'py>,
    (loss, grad, reduced): Losses<T>,
    shape: Option<[usize; 3]>,
) -> PyResult<Bound<'py, PyTuple>>
where
    T: Element + IntoPyObject<'py>,
{
    let loss = PyArray1::from_vec(py, loss);
    let grad = shape
        .map(|shape| PyArray1::from_vec(py, grad).reshape(shape))
        .transpose()?;
    (loss, grad, reduced).into_pyobject(py)
}

/// Returns the name, API, kind and driver of each adapter of this machine, the best first.
#[pyfunction]
pub(crate) fn adapters(py: Python<'_>) -> PyResult<Vec<BTreeMap<&'static str, String>>> {
    let adapters = py.detach(|| catch_panic(|| Ok(ctc_wgpu::adapters())))?;
    Ok(adapters
        .iter()
        .map(|adapter| {
            let info = adapter.get_info();
            BTreeMap::from([
                ("name", info.name),
                ("api", info.backend.to_string()),
                ("kind", format!("{:?}", info.device_type)),
                ("driver", format!("{} {}", info.driver, info.driver_info)),
            ])
        })
        .collect())
}
