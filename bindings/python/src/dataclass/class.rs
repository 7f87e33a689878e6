//! Classes with fields: how their objects are taken apart and put together.
//!
//! 1. Objects of the very class are read by the offsets of its slots and the places of its attributes, those of classes
//!    that derive from it as anybody reads them.
//! 2. An object is made without its `__init__` only where that is the one that dataclasses generate, and does what is
//!    done here: `_fields.py` decides that.

use super::fail::{self, Outcome};
use super::inline;
use super::plan::{Description, Held, Id};
use crate::json;
use crate::value::decode::_PyDict_NewPresized;
use crate::value::pairs;
use crate::value::registry;
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::critical_section::with_critical_section;
use pyo3::types::{PyDict, PySet, PyTuple};
use pyo3::{ffi, intern};
use slipring_codec::Encoder;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

/// A reference of its own, or null.
pub(super) type Slot = *mut ffi::PyObject;
pub(super) type Object = NonNull<ffi::PyObject>;

/// A reference of one's own.
pub(super) fn new_reference(object: Borrowed<'_, '_, PyAny>) -> Object {
    // SAFETY: a reference is never null.
    unsafe { NonNull::new_unchecked(object.to_owned().into_ptr()) }
}

/// For who has the one reference to it.
pub(super) fn owned(py: Python<'_>, object: Object) -> Bound<'_, PyAny> {
    // SAFETY: a reference of the caller's.
    unsafe { Bound::from_owned_ptr(py, object.as_ptr()) }
}

/// How an attribute is read and written.
#[derive(Clone, Copy)]
enum Place {
    /// Bytes from the object's begin.
    Slot(usize),
    /// Where it stands among the attributes, if no others were set before.
    Plain(usize),
    Attribute,
}

/// What stands for a field that is missing.
enum Default {
    Nothing,
    Value(Held),
    Factory(Held),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Filled in, as the generated `__init__` does.
    Filled {
        post_init: bool,
    },
    /// By a call; where that has raised somebody may know more of it.
    Called {
        judge: Option<Held>,
    },
    Dict,
}

pub(super) struct Field {
    pub(super) name: Held,
    /// The name outside, and its bytes.
    pub(super) key: Held,
    pub(super) key_text: Box<[u8]>,
    /// `,"key":`
    pub(super) json_key: Box<[u8]>,
    /// The same, if it is short, and zeros behind it.
    pub(super) json_head: Option<Box<[u8; 33]>>,
    /// The key as CBOR.
    pub(super) cbor_key: Box<[u8]>,
    pub(super) node: Id,
    default: Default,
    argument: Held,
    /// Taken by `__init__`, so that it is loaded.
    pub(super) init: bool,
    /// Set by the generated `__init__` if nothing is given.
    set: bool,
    /// An attribute of the object, and not only an argument.
    pub(super) stored: bool,
    /// Which of those that are.
    pub(super) position: usize,
    pub(super) required: bool,
    /// Says of which class an object is: what is loaded for it is looked at, and let go of.
    pub(super) tag: bool,
    place: Place,
    pub(super) required_message: Option<Held>,
}

pub(super) struct Class {
    pub(super) class: Held,
    /// The name under which plain `send` sends its objects while it is not registered.
    pub(super) sent_as: Box<str>,
    way: Way,
    pub(super) fields: Box<[Field]>,
    /// How many of them are attributes.
    pub(super) stored: usize,
    /// Where there are many.
    by_key: HashMap<Box<[u8]>, u32>,
    pub(super) unknown_is_error: bool,
    pub(super) omit_none: bool,
    /// The names of the attributes without slots that the generated `__init__` sets, in its order.
    plain: Box<[Held]>,
    /// These are at the first places of each object.
    laid_out: AtomicBool,
    /// A dict with the fields that are stored, all of them None, to be copied; nobody else sees it.
    template: Option<Py<PyDict>>,
}

/// What is known of a class's objects, now and from now on.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    is_laid_out: bool,
}

/// So many keys are gone through one by one.
const FEW: usize = 24;

unsafe extern "C" {
    /// Not among PyO3's declarations; exported by every CPython so far.
    fn PyObject_GenericSetAttr(
        object: *mut ffi::PyObject,
        name: *mut ffi::PyObject,
        value: *mut ffi::PyObject,
    ) -> std::ffi::c_int;
}

impl Class {
    pub(super) fn of(description: &Description<'_>) -> PyResult<Self> {
        let (mut set, mut position) = (0, 0);
        let fields = description.each(4, |field| {
            let flags = field.within(6)?;
            let tag = flags.flag(4)?;
            let (init, is_set, stored) = (flags.flag(0)?, flags.flag(1)?, flags.flag(2)?);
            let place = match field.number(7)? {
                0 => Place::Slot(offset(&field.object(8)?)?),
                1 if is_set => {
                    set += 1;
                    Place::Plain(set - 1)
                }
                _ => Place::Attribute,
            };
            position += usize::from(stored);
            let key = field.text(1)?;
            Ok(Field {
                name: field.held(0)?,
                key: field.held(1)?,
                json_head: json_head(&json_key(&key)),
                json_key: json_key(&key),
                cbor_key: cbor_key(&key),
                key_text: key.into_bytes().into(),
                node: field.id(2)?,
                default: match field.number(3)? {
                    0 => Default::Nothing,
                    1 => Default::Value(field.held(4)?),
                    _ => Default::Factory(field.held(4)?),
                },
                argument: field.held(5)?,
                init,
                set: is_set,
                stored,
                position: position.saturating_sub(1),
                required: flags.flag(3)?,
                tag,
                place,
                required_message: field.optional(9)?,
            })
        })?;
        let mut by_key = HashMap::new();
        if fields.len() > FEW {
            for (at, field) in fields.iter().enumerate() {
                by_key.insert(field.key_text.clone(), at as u32);
            }
        }
        let class = description.object(1)?;
        if !class.is_instance_of::<pyo3::types::PyType>() {
            return Err(PyTypeError::new_err("a class is no type"));
        }
        let way = match description.number(2)? {
            0 => Way::Filled { post_init: description.optional(3)?.is_some() },
            1 => Way::Called { judge: description.optional(3)? },
            _ => Way::Dict,
        };
        let omit_none = description.flag(6)?;
        let set = fields.iter().filter(|field| field.set && matches!(field.place, Place::Plain(_)));
        let plain: Vec<_> = match way {
            Way::Dict => Vec::new(),
            _ => set.map(|field| field.name).collect(),
        };
        let template = match pairs::HAVE_PLACES && !omit_none && way != Way::Dict {
            true => template(class.py(), &fields)?,
            false => None,
        };
        Ok(Self {
            class: description.held(1)?,
            sent_as: description.text(7)?.into(),
            way,
            fields: fields.into(),
            stored: position,
            by_key,
            unknown_is_error: description.flag(5)?,
            omit_none,
            plain: plain.into(),
            laid_out: AtomicBool::new(false),
            template,
        })
    }

    /// A new dict with a place for each field that is stored, and these places.
    #[inline(always)]
    pub(super) fn template<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(Bound<'py, PyAny>, *mut pairs::Entry)>> {
        let Some(template) = &self.template else { return Ok(None) };
        let dict = template.bind(py).copy()?;
        // SAFETY: a dict that is alive.
        let places = unsafe { pairs::places(dict.as_ptr()) };
        Ok(places.map(|places| (dict.into_any(), places)))
    }

    /// Whether making an object calls no code of others.
    pub(super) fn is_quiet(&self) -> bool {
        let simple = |field: &Field| match field.default {
            Default::Factory(factory) => is_empty_container(factory),
            _ => true,
        };
        match self.way {
            Way::Filled { post_init } => !post_init && self.fields.iter().all(simple),
            Way::Called { .. } => false,
            Way::Dict => true,
        }
    }

    pub(super) fn is_dict(&self) -> bool {
        self.way == Way::Dict
    }

    /// The field of this name outside; `hint` is where it may be.
    #[inline(always)]
    pub(super) fn find(&self, key: &[u8], hint: usize) -> Option<usize> {
        if let Some(field) = self.fields.get(hint)
            && *field.key_text == *key
        {
            return Some(hint);
        }
        self.search(key)
    }

    #[inline(never)]
    pub(super) fn search(&self, key: &[u8]) -> Option<usize> {
        if self.fields.len() > FEW {
            return self.by_key.get(key).map(|&at| at as usize);
        }
        self.fields.iter().position(|field| *field.key_text == *key)
    }

    /// Whether an object is one of this class or of one that derives from it; of a TypedDict, whether it is a dict.
    #[inline(always)]
    pub(super) fn has(&self, object: Borrowed<'_, '_, PyAny>) -> PyResult<bool> {
        // SAFETY: an object that is alive.
        let kind = unsafe { ffi::Py_TYPE(object.as_ptr()) };
        if kind.cast() == self.class.as_ptr() {
            return Ok(true);
        }
        if self.way == Way::Dict {
            // SAFETY: an object that is alive.
            return Ok(unsafe { ffi::PyDict_Check(object.as_ptr()) } != 0);
        }
        // SAFETY: an object and a type that are alive.
        Ok(unsafe { ffi::PyType_IsSubtype(kind, self.class.as_ptr().cast()) } != 0)
    }

    /// Whether objects of the very class have their attributes at known places.
    #[inline(always)]
    fn is_laid_out(&self) -> bool {
        // Relaxed: it says something of the class, and of no other memory.
        self.laid_out.load(Ordering::Relaxed) || self.lay_out()
    }

    /// Looks whether they have by now: a class learns it from its first objects.
    #[inline(never)]
    fn lay_out(&self) -> bool {
        if self.plain.is_empty() || cfg!(Py_GIL_DISABLED) {
            return false;
        }
        let names = self.plain.iter().map(|name| name.as_ptr());
        // SAFETY: a class of Python's, which has fields without slots, and names that `_analyse.py` interns.
        let is_so = unsafe { inline::has(self.class.as_ptr().cast(), names) };
        self.laid_out.store(is_so, Ordering::Relaxed);
        is_so
    }

    /// Before the fields of an object that the class [`has`](Self::has) are gone through.
    #[inline(always)]
    pub(super) fn begin(&self, object: Borrowed<'_, '_, PyAny>) -> Begun {
        let is_laid_out = object.get_type_ptr().cast() == self.class.as_ptr() && self.is_laid_out();
        if is_laid_out {
            // SAFETY: an object that is alive, of the class that has so many.
            unsafe { inline::prefetch(object.as_ptr(), self.plain.len()) };
        }
        Begun { is_laid_out }
    }

    /// A field of an object that the class [`has`](Self::has), borrowed, where it stands at a known place: it is alive until
    /// other code runs.
    #[inline(always)]
    pub(super) fn peek(
        &self,
        object: Borrowed<'_, '_, PyAny>,
        field: &Field,
        begun: Begun,
    ) -> Option<Object> {
        let object = object.as_ptr();
        // SAFETY: the object is alive; of its very class the offset is that of a slot with a reference or null, by the check
        // of `offset`, and the place one that the class has.
        unsafe {
            if cfg!(Py_GIL_DISABLED) || ffi::Py_TYPE(object).cast() != self.class.as_ptr() {
                return None;
            }
            match field.place {
                Place::Slot(offset) => {
                    NonNull::new(*object.cast::<u8>().add(offset).cast::<Slot>())
                }
                Place::Plain(place) if begun.is_laid_out => {
                    inline::get(object, place).and_then(NonNull::new)
                }
                _ => None,
            }
        }
    }

    /// A field of an object that the class [`has`](Self::has), as anybody reads it; `None` where a dict has it not, or it was
    /// never set.
    #[inline(never)]
    pub(super) fn get(
        &self,
        object: Borrowed<'_, '_, PyAny>,
        field: &Field,
    ) -> Outcome<Option<Object>> {
        let (py, object, name) = (object.py(), object.as_ptr(), field.name.as_ptr());
        // SAFETY: the object and the name are alive; what is found is alive until other code runs.
        unsafe {
            if self.way == Way::Dict {
                let dict = Borrowed::from_ptr(py, object);
                let found = with_critical_section(&dict, || {
                    let found = ffi::PyDict_GetItemWithError(object, name);
                    ffi::Py_XINCREF(found);
                    found
                });
                return match NonNull::new(found) {
                    None if !ffi::PyErr_Occurred().is_null() => Err(fail::raised(py)),
                    found => Ok(found),
                };
            }
            match NonNull::new(ffi::PyObject_GetAttr(object, name)) {
                None => unset(&Borrowed::from_ptr(py, object), field),
                found => Ok(found),
            }
        }
    }

    /// Whether an object without this field is not valid.
    pub(super) fn needs(&self, field: &Field) -> bool {
        field.required || !self.is_dict()
    }

    /// Puts what stands for missing fields in their places.
    #[inline(always)]
    pub(super) fn complete(&self, py: Python<'_>, values: &mut [Slot]) -> Outcome<()> {
        if !matches!(self.way, Way::Filled { .. }) {
            return Ok(());
        }
        for (field, value) in self.fields.iter().zip(values) {
            // An argument that is no attribute has a value as well.
            if !value.is_null() || (!field.set && field.stored) {
                continue;
            }
            *value = match field.default {
                Default::Nothing => continue,
                // SAFETY: alive as long as the plan.
                Default::Value(held) => unsafe { ffi::Py_NewRef(held.as_ptr()) },
                Default::Factory(factory) => made_by(py, factory)?.as_ptr(),
            };
        }
        Ok(())
    }

    /// An object of these values, a reference each, or null where there is none; takes them all, whatever comes of it.
    #[inline(always)]
    pub(super) fn make(&self, py: Python<'_>, values: &mut [Slot]) -> Outcome<Object> {
        match self.way {
            Way::Filled { post_init } => self.fill(py, values, post_init),
            Way::Called { judge } => self.call(py, values, judge),
            Way::Dict => self.dict(py, values),
        }
    }

    /// A new object of the class, as `object.__new__` makes it.
    #[inline(always)]
    fn empty<'py>(&self, py: Python<'py>) -> Outcome<Bound<'py, PyAny>> {
        let no_arguments = PyTuple::empty(py);
        let class = self.class.as_ptr().cast::<ffi::PyTypeObject>();
        // SAFETY: what `object.__new__` does for a class that has no other; a new reference or null.
        let object = unsafe {
            let new = ffi::PyBaseObject_Type.tp_new;
            new.map(|new| new(class, no_arguments.as_ptr(), std::ptr::null_mut()))
        };
        let Some(object) = object.and_then(NonNull::new) else { return Err(fail::raised(py)) };
        // SAFETY: a new reference.
        Ok(unsafe { Bound::from_owned_ptr(py, object.as_ptr()) })
    }

    #[inline(always)]
    fn fill(&self, py: Python<'_>, values: &mut [Slot], post_init: bool) -> Outcome<Object> {
        let owned = self.empty(py)?;
        let object = owned.as_ptr();
        let is_laid_out = self.is_laid_out();
        for (field, value) in self.fields.iter().zip(&mut *values) {
            if value.is_null() || !field.stored {
                continue;
            }
            let (name, given) = (field.name.as_ptr(), *value);
            // SAFETY: the object is of the very class and nobody else has seen it, so that its slots are null; each
            // place takes the reference over.
            unsafe {
                match field.place {
                    Place::Slot(offset) => {
                        *object.cast::<u8>().add(offset).cast::<Slot>() = given;
                        *value = std::ptr::null_mut();
                    }
                    Place::Plain(place) if is_laid_out && inline::put(object, place, given) => {
                        *value = std::ptr::null_mut();
                    }
                    _ => {
                        if PyObject_GenericSetAttr(object, name, given) != 0 {
                            return Err(fail::raised(py));
                        }
                    }
                }
            }
        }
        if post_init {
            self.post_init(&owned, values)?;
        }
        // SAFETY: the reference of `owned`.
        Ok(unsafe { NonNull::new_unchecked(owned.into_ptr()) })
    }

    /// Sets a field of an object that is made, as `object.__setattr__` does.
    pub(super) fn set(
        &self,
        object: &Bound<'_, PyAny>,
        field: &Field,
        value: &Bound<'_, PyAny>,
    ) -> Outcome<()> {
        // SAFETY: an object of the class or of one that derives from it, a name and a value, all alive.
        match unsafe {
            PyObject_GenericSetAttr(object.as_ptr(), field.name.as_ptr(), value.as_ptr())
        } {
            0 => Ok(()),
            _ => Err(fail::raised(object.py())),
        }
    }

    fn post_init(&self, object: &Bound<'_, PyAny>, values: &mut [Slot]) -> Outcome<()> {
        let py = object.py();
        let mut arguments = vec![object.clone()];
        for (field, value) in self.fields.iter().zip(values) {
            if !field.stored && !value.is_null() {
                let value = std::mem::replace(value, std::ptr::null_mut());
                // SAFETY: a reference of ours.
                arguments.push(unsafe { Bound::from_owned_ptr(py, value) });
            }
        }
        let pointers: Vec<_> = arguments.iter().map(Bound::as_ptr).collect();
        // SAFETY: a name and so many objects that are alive, of which the first one is the one that is called.
        let made = unsafe {
            let name = intern!(py, "__post_init__").as_ptr();
            let made = ffi::PyObject_VectorcallMethod(
                name,
                pointers.as_ptr(),
                pointers.len(),
                std::ptr::null_mut(),
            );
            Bound::from_owned_ptr_or_err(py, made)
        };
        self.said(py, made).map(|_| ())
    }

    #[inline(never)]
    fn call(&self, py: Python<'_>, values: &mut [Slot], judge: Option<Held>) -> Outcome<Object> {
        let given = |(field, value): &(&Field, &mut Slot)| field.init && !value.is_null();
        // Before the arguments is room for the object.
        let count = self.fields.len();
        let (mut names, mut pointers) = (Vec::with_capacity(count), Vec::with_capacity(count + 1));
        pointers.push(std::ptr::null_mut());
        for (field, value) in self.fields.iter().zip(&mut *values).filter(given) {
            names.push(field.argument.bind(py));
            pointers.push(*value);
        }
        let names = PyTuple::new(py, names)?;
        let made = match judge {
            // SAFETY: a class, so many objects that are alive, and as many names.
            None => self.said(py, unsafe {
                let class = self.class.as_ptr();
                let given = pointers.as_ptr().add(1);
                let made = ffi::PyObject_Vectorcall(class, given, 0, names.as_ptr());
                Bound::from_owned_ptr_or_err(py, made)
            })?,
            Some(judge) => {
                let object = self.empty(py)?;
                pointers[0] = object.as_ptr();
                // SAFETY: an object, so many others that are alive, and as many names as there are of these.
                let made = unsafe {
                    let name = intern!(py, "__init__").as_ptr();
                    let given = pointers.as_ptr();
                    let made = ffi::PyObject_VectorcallMethod(name, given, 1, names.as_ptr());
                    Bound::from_owned_ptr_or_err(py, made)
                };
                match made {
                    Ok(_) => object,
                    Err(error) => return judged(py, judge, &object, error),
                }
            }
        };
        // SAFETY: a new reference.
        Ok(unsafe { NonNull::new_unchecked(made.into_ptr()) })
    }

    /// What is known of fields that are valid where others are not: of an object that has these alone.
    #[cold]
    #[inline(never)]
    pub(super) fn judge_rest(
        &self,
        py: Python<'_>,
        values: &[Slot],
        errors: &mut fail::Gathered,
    ) -> Outcome<()> {
        let Way::Called { judge: Some(judge) } = self.way else { return Ok(()) };
        let (valid, failed) = (PyDict::new(py), PySet::empty(py)?);
        for (field, value) in self.fields.iter().zip(values) {
            let name = field.name.bind(py);
            if errors.names(field.key.bind(py))? {
                failed.add(name)?;
            } else if let Some(value) = NonNull::new(*value) {
                // SAFETY: a reference that the place holds.
                valid.set_item(name, unsafe { Borrowed::from_ptr(py, value.as_ptr()) })?;
            }
        }
        let said = judge.bind(py).call1((py.None(), valid, failed))?;
        if let Ok(said) = said.cast::<PyDict>() {
            for (name, said) in said.iter() {
                errors.add(name.unbind(), fail::Errors::Given(said.unbind()));
            }
        }
        Ok(())
    }

    fn dict(&self, py: Python<'_>, values: &[Slot]) -> Outcome<Object> {
        // SAFETY: a new reference or null; then a dict, a str and an object, of which it takes references of its own.
        unsafe {
            let dict = Bound::from_owned_ptr_or_err(py, _PyDict_NewPresized(values.len() as _))?;
            for (field, value) in self.fields.iter().zip(values) {
                if !value.is_null()
                    && ffi::PyDict_SetItem(dict.as_ptr(), field.name.as_ptr(), *value) != 0
                {
                    return Err(fail::raised(py));
                }
            }
            Ok(NonNull::new_unchecked(dict.into_ptr()))
        }
    }

    /// What the class itself says of its values, as ValueErrors, is said of the object as a whole.
    #[inline(always)]
    fn said<'py>(
        &self,
        py: Python<'py>,
        made: PyResult<Bound<'py, PyAny>>,
    ) -> Outcome<Bound<'py, PyAny>> {
        made.or_else(|error| {
            let errors = fail::of_exception(py, error)?;
            fail::of(fail::Errors::Schema(Box::new(errors)))
        })
    }
}

/// What the validators of an object say, each of its field, where its `__init__` has raised; else what that has raised.
#[cold]
fn judged<T>(py: Python<'_>, judge: Held, object: &Bound<'_, PyAny>, error: PyErr) -> Outcome<T> {
    if error.is_instance_of::<PyException>(py) {
        let said = judge.bind(py).call1((object,))?;
        if let Ok(said) = said.cast::<PyDict>() {
            let part = |(name, said): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
                (name.unbind(), fail::Errors::Given(said.unbind()))
            };
            return fail::of(fail::Errors::Within(said.iter().map(part).collect()));
        }
    }
    let errors = fail::of_exception(py, error)?;
    fail::of(fail::Errors::Schema(Box::new(errors)))
}

/// What an attribute has raised that is not there: `None` if it is the object's own.
#[cold]
fn unset(object: &Bound<'_, PyAny>, field: &Field) -> Outcome<Option<Object>> {
    let py = object.py();
    let error = PyErr::fetch(py);
    match registry::is_unset(&error, object, Some(&field.name.bind(py)))? {
        true => Ok(None),
        false => Err(error.into()),
    }
}

/// A dict of the fields that are stored, if it is one whose copies have their places in that order.
fn template(py: Python<'_>, fields: &[Field]) -> PyResult<Option<Py<PyDict>>> {
    let dict = PyDict::new(py);
    for field in fields.iter().filter(|field| field.stored) {
        dict.set_item(field.key.bind(py), py.None())?;
    }
    // What a dict becomes by being copied, its copies become as well.
    let dict = dict.copy()?;
    Ok((!dict.is_empty()).then(|| dict.unbind()))
}

/// Whether it is a class of the standard containers, whose objects are made empty.
fn is_empty_container(factory: Held) -> bool {
    let classes = [&raw mut ffi::PyList_Type, &raw mut ffi::PyDict_Type, &raw mut ffi::PySet_Type];
    classes.iter().any(|class| factory.as_ptr() == class.cast())
}

fn made_by(py: Python<'_>, factory: Held) -> Outcome<Object> {
    // SAFETY: the types are static objects; each call gives a new reference or null.
    let made = unsafe {
        if factory.as_ptr() == (&raw mut ffi::PyList_Type).cast() {
            ffi::PyList_New(0)
        } else if factory.as_ptr() == (&raw mut ffi::PyDict_Type).cast() {
            ffi::PyDict_New()
        } else {
            ffi::PyObject_CallNoArgs(factory.as_ptr())
        }
    };
    NonNull::new(made).ok_or_else(|| fail::raised(py))
}

/// Where the slot of a descriptor is, from the object's begin.
fn offset(descriptor: &Bound<'_, PyAny>) -> PyResult<usize> {
    /// `T_OBJECT_EX`: a reference, or null where there is none.
    const REFERENCE: std::ffi::c_int = 16;
    if descriptor.get_type().as_ptr() != (&raw mut ffi::PyMemberDescr_Type).cast() {
        return Err(PyTypeError::new_err("a slot has no descriptor"));
    }
    // SAFETY: a descriptor of a member, by the check.
    let member = unsafe { &*(*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>()).d_member };
    if member.type_code != REFERENCE || member.flags & ffi::Py_READONLY != 0 || member.offset <= 0 {
        return Err(PyTypeError::new_err("a slot is none of Python's"));
    }
    Ok(member.offset as usize)
}

/// A key with what stands around it.
fn json_key(key: &str) -> Box<[u8]> {
    let mut text = vec![b','];
    text.extend_from_slice(&json::quoted(key));
    text.push(b':');
    text.into()
}

fn cbor_key(key: &str) -> Box<[u8]> {
    let mut encoder = Encoder::new();
    encoder.text(key);
    encoder.into_vec().into()
}

fn json_head(key: &[u8]) -> Option<Box<[u8; 33]>> {
    let mut head = Box::new([0; 33]);
    head.get_mut(..key.len()).filter(|head| head.len() <= 32)?.copy_from_slice(key);
    Some(head)
}

/// The offset of a slot of a class of the standard library.
pub(super) fn slot_of(class: &Bound<'_, PyAny>, name: &str) -> PyResult<usize> {
    offset(&class.getattr(name)?)
}
