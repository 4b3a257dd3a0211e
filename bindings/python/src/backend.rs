//! Where it is computed: a GPU, the CPU backend, or the float64 reference.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use ctc_wgpu::{Backend as Place, Batch, CacheLimits, Ctc, Error, Options as Meaning, reference};
use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rayon::{ThreadPool, ThreadPoolBuilder};
use wgpu::DeviceType;

use crate::arrays::{Arrays, Frames, Labels, Values, layout, slice};
use crate::fault::{exception, guarded};
use crate::options::Options;

enum Engine {
    /// On a GPU; or the CPU backend, with threads of its own: those of rayon's global pool do not survive a fork, and cannot be made
    /// anew.
    Single(Box<Ctc>, Option<ThreadPool>),
    Reference,
}

impl Engine {
    fn cpu() -> PyResult<Self> {
        let pool = ThreadPoolBuilder::new()
            .thread_name(|index| format!("ctc-wgpu {index}"))
            .build()
            .map_err(|error| PyRuntimeError::new_err(format!("no threads: {error}")))?;
        Ok(Self::Single(Box::new(pool.install(Ctc::cpu)), Some(pool)))
    }

    fn gpu(adapter: Option<&str>) -> PyResult<Self> {
        let ctc = adapter.map_or_else(Ctc::gpu, Ctc::gpu_named);
        let ctc = ctc.map_err(|error| exception(&error))?;
        Ok(Self::Single(Box::new(ctc), None))
    }

    fn named(name: &str) -> PyResult<Self> {
        match name.split_once(':') {
            None if name == "auto" => match Ctc::gpu() {
                Ok(ctc) if is_hardware(&ctc) => Ok(Self::Single(Box::new(ctc), None)),
                _ => Self::cpu(),
            },
            None if name == "gpu" => Self::gpu(None),
            None if name == "cpu" => Self::cpu(),
            None if name == "reference" => Ok(Self::Reference),
            Some(("gpu", adapter)) => Self::gpu(Some(adapter)),
            _ => Err(PyValueError::new_err(format!(
                "backend={name:?}: must be \"auto\", \"gpu\", \"gpu:NAME\", \"cpu\" or \"reference\""
            ))),
        }
    }
}

/// A software driver is slower than the CPU backend; and Mesa's, which need LLVM, end a process that TensorFlow is in, whose LLVM takes
/// the place of theirs.
fn is_hardware(ctc: &Ctc) -> bool {
    matches!(ctc.backend(), Place::Gpu(info) if info.device_type != DeviceType::Cpu)
}

impl Backend {
    /// On this backend's threads, while others of Python run.
    pub(crate) fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce() -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let work = || match &*self.engine {
            Engine::Single(_, Some(pool)) => pool.install(work),
            _ => work(),
        };
        py.detach(|| guarded(|| work().map_err(|error| exception(&error))))
    }
}

/// Losses, gradient and the reduced loss.
type Answer<T> = (Vec<T>, Vec<T>, Option<T>);

/// The gradient is empty where none is asked for.
fn single(
    ctc: &Ctc,
    batch: &Batch<'_>,
    options: &Meaning,
    grad: bool,
) -> Result<Answer<f32>, Error> {
    if grad {
        let output = ctc.loss_and_grad(batch, options)?;
        Ok((output.loss, output.grad, output.reduced))
    } else {
        let output = ctc.loss(batch, options)?;
        Ok((output.loss, Vec::new(), output.reduced))
    }
}

/// Where it is computed, with compiled kernels and memory for shapes that come again. Threads may share it.
#[pyclass(frozen, module = "ctc_wgpu._native")]
pub(crate) struct Backend {
    engine: Arc<Engine>,
}

#[pymethods]
impl Backend {
    #[new]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let engine = Arc::new(py.detach(|| guarded(|| Engine::named(name)))?);
        Ok(Self { engine })
    }

    fn __str__(&self) -> String {
        match &*self.engine {
            Engine::Single(ctc, _) => ctc.backend().to_string(),
            Engine::Reference => "float64 reference".into(),
        }
    }

    /// Losses `[N]`, the gradient in the shape of `values` or None, and the reduced loss or None; all of them in float64 where
    /// `values` are.
    #[pyo3(signature = (values, labels, options, *, time_major, frames, weights, grad))]
    #[allow(
        clippy::too_many_arguments,
        reason = "a batch of Python's and what is asked of it"
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
        let meaning = options.get().of(shape[2])?;
        match (&*self.engine, &values) {
            (Engine::Single(ctc, _), Values::Single(values)) => {
                let batch = arrays.batch(slice("logits", values)?, shape)?;
                let answer = self.run(py, || single(ctc, &batch, &meaning, grad))?;
                to_python(py, answer, grad.then_some(shape))
            }
            (Engine::Reference, Values::Double(values)) => {
                let exact = slice("logits", values)?;
                let stand_in = vec![0.0; exact.len()];
                let batch = arrays.batch(&stand_in, shape)?;
                let output =
                    self.run(py, || reference::loss_and_grad_f64(&batch, exact, &meaning))?;
                let answer = (output.loss, output.grad, output.reduced);
                to_python(py, answer, grad.then_some(shape))
            }
            _ => Err(PyTypeError::new_err(
                "the reference takes float64, all else float32",
            )),
        }
    }

    /// Bounds what is kept for later batches. The reference keeps nothing.
    fn set_cache_limits(&self, py: Python<'_>, pipelines: usize, sessions: usize) -> PyResult<()> {
        let limits = CacheLimits::default().pipelines(pipelines).shapes(sessions);
        self.run(py, || {
            if let Engine::Single(ctc, _) = &*self.engine {
                ctc.set_cache_limits(limits);
            }
            Ok(())
        })
    }

    /// Panics where it would compute, so that the tests see what becomes of that.
    fn _panic(&self, py: Python<'_>, message: &str) -> PyResult<()> {
        self.run(py, || panic!("{message}"))
    }

    /// Makes sure that this is never dropped: in a process that was forked its threads and its device do not answer, and to
    /// drop them would wait for them.
    fn abandon(&self) {
        mem::forget(Arc::clone(&self.engine));
    }
}

/// The vectors become numpy's without a copy.
fn to_python<'py, T>(
    py: Python<'py>,
    (loss, grad, reduced): Answer<T>,
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

/// The adapters of this machine, the best first; each with its name, API, kind, and driver.
#[pyfunction]
pub(crate) fn adapters(py: Python<'_>) -> PyResult<Vec<BTreeMap<&'static str, String>>> {
    let found = py.detach(|| guarded(|| Ok(ctc_wgpu::adapters())))?;
    Ok(found
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
