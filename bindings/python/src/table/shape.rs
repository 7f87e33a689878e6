//! The schema of a table by itself.

use super::{capsule, schema};
use crate::error;
use arrow_schema::SchemaRef;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use slipring_codec::Content;
use slipring_codec::format::arrow::Parsed;

#[doc = doc!(TableSchema)]
#[pyclass(frozen, module = "slipring")]
pub(crate) struct TableSchema {
    fields: SchemaRef,
    /// As what it was announced.
    announced: Option<(String, u16)>,
}

/// The schema of a frame that is a table, as it was written, whatever is expected.
pub(crate) fn of(py: Python<'_>, frame: &slipring::Frame) -> PyResult<TableSchema> {
    let announced = frame.schema().map_err(|e| error::raise(py, e))?;
    if let Some(stored) = announced {
        schema::check_kind(py, &stored)?;
        let fields = schema::parsed(py, &stored)?;
        let announced = Some((stored.name().to_owned(), stored.version()));
        return Ok(TableSchema { fields, announced });
    }
    let parsed = super::opened(frame).and_then(|body| match body.content()? {
        // The first message of its head.
        Content::Arrow(headed) => Parsed::of(headed.head.bytes),
        _ => unreachable!("the frame header says that it is a table"),
    });
    let parsed = parsed.map_err(|found| error::decode(py, &found, "arrow"))?;
    Ok(TableSchema { fields: SchemaRef::clone(parsed.schema()), announced: None })
}

#[pymethods]
impl TableSchema {
    #[doc = doc!(TableSchema.columns)]
    #[getter]
    pub(crate) fn columns(&self) -> Vec<(&str, String, bool)> {
        let told = |field: &'_ arrow_schema::FieldRef| field.data_type().to_string();
        let fields = self.fields.fields().iter();
        fields.map(|field| (field.name().as_str(), told(field), field.is_nullable())).collect()
    }

    #[getter]
    fn names(&self) -> Vec<&str> {
        self.fields.fields().iter().map(|field| field.name().as_str()).collect()
    }

    #[doc = doc!(TableSchema.name)]
    #[getter]
    fn name(&self) -> Option<&str> {
        self.announced.as_ref().map(|(name, _)| name.as_str())
    }

    #[doc = doc!(TableSchema.version)]
    #[getter]
    fn version(&self) -> Option<u16> {
        self.announced.as_ref().map(|(_, version)| *version)
    }

    #[doc = doc!(TableSchema.metadata)]
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        super::metadata(py, &self.fields)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let schema = capsule::Schema::try_from(&*self.fields);
        let schema = schema.map_err(|error| PyValueError::new_err(error.to_string()))?;
        capsule::capsule(py, schema, capsule::SCHEMA)
    }

    fn __len__(&self) -> usize {
        self.fields.fields().len()
    }

    fn __str__(&self) -> String {
        super::told(&self.fields)
    }

    fn __repr__(&self) -> String {
        let named = self.announced.as_ref();
        let named =
            named.map_or_else(String::new, |(name, version)| format!(" {name:?} {version}"));
        let fields: String =
            super::told(&self.fields).replace('\n', ", ").chars().take(400).collect();
        format!("<slipring.TableSchema{named}: {fields}>")
    }
}
