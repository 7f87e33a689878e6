//! What is in a segment, for Python.

use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsStr;

#[doc = doc!(Inspection)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct Inspection(pub(crate) slipring::Inspection);

#[doc = doc!(Process)]
#[pyclass(frozen, get_all, module = "slipring")]
pub(crate) struct Process {
    id: u8,
    pid: u32,
    alive: bool,
    produces: bool,
    consumes: bool,
}

#[pymethods]
impl Process {
    fn __repr__(&self) -> String {
        format!(
            "Process(id={}, pid={}, alive={}, produces={}, consumes={})",
            self.id,
            self.pid,
            truth(self.alive),
            truth(self.produces),
            truth(self.consumes)
        )
    }
}

#[doc = doc!(Schema)]
#[pyclass(frozen, get_all, module = "slipring")]
pub(crate) struct Schema {
    #[doc = doc!(Schema.id)]
    pub(crate) id: u32,
    #[doc = doc!(Schema.kind)]
    kind: u16,
    pub(crate) name: String,
    #[doc = doc!(Schema.version)]
    pub(crate) version: u16,
    #[doc = doc!(Schema.size)]
    size: u64,
    #[doc = doc!(Schema.created_ns)]
    created_ns: u64,
    #[doc = doc!(Schema.wanted)]
    wanted: Option<(u16, u16)>,
}

#[pymethods]
impl Schema {
    fn __repr__(&self) -> String {
        let Self { id, kind, name, version, size, .. } = self;
        format!("Schema(id={id}, kind={kind}, name={name:?}, version={version}, size={size})")
    }
}

impl From<slipring::Described> for Schema {
    fn from(found: slipring::Described) -> Self {
        let slipring::Described { id, kind, name, version, size, created_ns, wanted, .. } = found;
        Self { id, kind, name, version, size, created_ns, wanted }
    }
}

fn hex(id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

#[pymethods]
impl Inspection {
    #[getter]
    fn path(&self) -> &OsStr {
        self.0.path.as_os_str()
    }
    #[doc = doc!(Inspection.len)]
    #[getter]
    fn len(&self) -> u64 {
        self.0.len
    }
    #[doc = doc!(Inspection.version)]
    #[getter]
    fn version(&self) -> (u16, u16) {
        self.0.version
    }
    #[doc = doc!(Inspection.id)]
    #[getter]
    fn id(&self) -> String {
        hex(self.0.id)
    }
    #[doc = doc!(Inspection.boot_id)]
    #[getter]
    fn boot_id(&self) -> String {
        hex(self.0.boot_id)
    }
    #[doc = doc!(Inspection.created_ns)]
    #[getter]
    fn created_ns(&self) -> u64 {
        self.0.created_ns
    }
    #[getter]
    fn creator_pid(&self) -> u32 {
        self.0.creator_pid
    }
    #[getter]
    fn creator_uid(&self) -> u32 {
        self.0.creator_uid
    }
    #[doc = doc!(Inspection.keep)]
    #[getter]
    fn keep(&self) -> bool {
        self.0.keep
    }
    #[doc = doc!(Inspection.offsets)]
    #[getter]
    fn offsets(&self) -> BTreeMap<&'static str, u64> {
        self.0.parts.iter().copied().collect()
    }
    #[getter]
    fn slots(&self) -> u64 {
        self.0.slots
    }
    #[getter]
    fn cell(&self) -> u64 {
        self.0.cell
    }
    #[getter]
    fn capacity(&self) -> u64 {
        self.0.capacity
    }
    #[getter]
    fn chunk(&self) -> u64 {
        self.0.chunk
    }
    #[getter]
    fn mode(&self) -> &'static str {
        self.0.mode.name()
    }
    #[doc = doc!(Inspection.dropped)]
    #[getter]
    fn dropped(&self) -> u64 {
        self.0.dropped
    }
    #[doc = doc!(Inspection.returned)]
    #[getter]
    fn returned(&self) -> u64 {
        self.0.frames.returned
    }
    #[doc = doc!(Inspection.dead)]
    #[getter]
    fn dead(&self) -> u64 {
        self.0.frames.dead
    }
    #[getter]
    fn finished(&self) -> bool {
        self.0.closed
    }
    #[getter]
    fn head(&self) -> u64 {
        self.0.head
    }
    #[getter]
    fn tail(&self) -> u64 {
        self.0.tail
    }
    #[doc = doc!(Inspection.waiting)]
    #[getter]
    fn waiting(&self) -> u64 {
        self.0.waiting
    }
    #[getter]
    fn free_chunks(&self) -> u64 {
        self.0.chunks[0]
    }
    #[getter]
    fn slab_chunks(&self) -> u64 {
        self.0.chunks[1]
    }
    #[getter]
    fn run_chunks(&self) -> u64 {
        self.0.chunks[2]
    }
    #[doc = doc!(Inspection.filling)]
    #[getter]
    fn filling(&self) -> u64 {
        self.0.frames.filling
    }
    #[doc = doc!(Inspection.offered)]
    #[getter]
    fn offered(&self) -> u64 {
        self.0.frames.offered
    }
    #[doc = doc!(Inspection.held)]
    #[getter]
    fn held(&self) -> u64 {
        self.0.frames.held
    }
    #[getter]
    fn processes(&self) -> Vec<Process> {
        let process = |p: &slipring::Process| Process {
            id: p.id,
            pid: p.pid,
            alive: p.alive,
            produces: p.produces,
            consumes: p.consumes,
        };
        self.0.processes.iter().map(process).collect()
    }
    #[getter]
    fn schemas(&self) -> Vec<Schema> {
        self.0.schemas.iter().cloned().map(Schema::from).collect()
    }
    #[doc = doc!(Inspection.schema_limit)]
    #[getter]
    fn schema_limit(&self) -> u32 {
        self.0.schema_limit
    }
    fn __str__(&self) -> String {
        self.0.to_string()
    }
    fn __repr__(&self) -> String {
        format!("<slipring.Inspection of {}>", self.0.path.display())
    }
}
