/* What making Python's objects costs, and nothing else.
 *
 *     tape = limit.tape(value)       what to make, found out beforehand
 *     limit.make(tape)               makes it anew
 *
 * No bytes are parsed and nothing is checked: a number is there as the processor has it, a text by its width and its
 * characters, a container by its length. The objects are made in the fastest ways that we know of. A key that the value holds
 * more than once is there as a str that knows its hash; one that it holds once is made and hashed. A dict whose keys stand in
 * another dict as well, in the same order, is a copy of an empty form of both, whose places take the values. The
 * collector is paused, lists are hidden from it until they are full, other dicts get their size at once. What fails ends the process. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
#define Py_BUILD_CORE
#include <internal/pycore_dict.h>
#define HAVE_PLACES 1
#else
PyObject *_PyDict_NewPresized(Py_ssize_t);
#define HAVE_PLACES 0
#endif

enum kind { INT, BIG, FLOAT, BOOL, NONE, TEXT, LIST, DICT, KEY, COPY };

struct item {
    enum kind kind;
    unsigned highest; /* the highest character of a text */
    union {
        long long number;
        double real;
        PyObject *object; /* a reference of the tape's own */
        const void *characters;
    };
    Py_ssize_t len; /* characters, items, pairs */
};

struct tape {
    struct item *items;
    size_t used, room;
};

static struct item *push(struct tape *tape, enum kind kind) {
    if (tape->used == tape->room) {
        tape->room = tape->room ? 2 * tape->room : 1024;
        tape->items = PyMem_Realloc(tape->items, tape->room * sizeof *tape->items);
        if (!tape->items) Py_FatalError("no memory for the tape");
    }
    struct item *item = &tape->items[tape->used++];
    *item = (struct item){.kind = kind};
    return item;
}

static void push_text(struct tape *tape, PyObject *text) {
    struct item *item = push(tape, TEXT);
    item->len = PyUnicode_GET_LENGTH(text);
    item->highest = PyUnicode_MAX_CHAR_VALUE(text);
    size_t bytes = item->len * PyUnicode_KIND(text);
    void *characters = PyMem_Malloc(bytes + 1);
    if (!characters) Py_FatalError("no memory for the tape");
    memcpy(characters, PyUnicode_DATA(text), bytes);
    item->characters = characters;
}

/* `seen`: of each key whether it stands in the whole more than once, and so for the keys of each dict, as a tuple. */
static int count_again(PyObject *seen, PyObject *what) {
    PyObject *before = PyDict_GetItemWithError(seen, what);
    if (before == NULL && PyErr_Occurred()) return -1;
    return PyDict_SetItem(seen, what, before ? Py_True : Py_False);
}

static int count_keys(PyObject *value, PyObject *seen) {
    if (PyList_CheckExact(value)) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++)
            if (count_keys(PyList_GET_ITEM(value, i), seen)) return -1;
    } else if (PyDict_CheckExact(value)) {
        PyObject *keys = PySequence_Tuple(value), *key, *item;
        if (!keys || count_again(seen, keys)) return -1;
        Py_DECREF(keys);
        for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);)
            if (count_again(seen, key) || count_keys(item, seen)) return -1;
    }
    return 0;
}

static int push_value(struct tape *tape, PyObject *value, PyObject *seen) {
    if (value == Py_None) {
        push(tape, NONE);
    } else if (PyBool_Check(value)) {
        push(tape, BOOL)->number = value == Py_True;
    } else if (PyLong_CheckExact(value)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow)
            push(tape, BIG)->object = Py_NewRef(value);
        else
            push(tape, INT)->number = number;
    } else if (PyFloat_CheckExact(value)) {
        push(tape, FLOAT)->real = PyFloat_AS_DOUBLE(value);
    } else if (PyUnicode_CheckExact(value)) {
        push_text(tape, value);
    } else if (PyList_CheckExact(value)) {
        push(tape, LIST)->len = PyList_GET_SIZE(value);
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++)
            if (push_value(tape, PyList_GET_ITEM(value, i), seen)) return -1;
    } else if (PyDict_CheckExact(value)) {
        PyObject *keys = PySequence_Tuple(value), *key, *item;
        if (!keys) return -1;
        PyObject *form = PyDict_GetItemWithError(seen, keys);
        if (HAVE_PLACES && PyDict_GET_SIZE(value) > 1 && form != Py_False) {
            if (form == Py_True) {
                form = PyDict_New();
                for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);)
                    if (PyDict_SetItem(form, key, Py_None)) return -1;
                if (PyDict_SetItem(seen, keys, form)) return -1;
            }
            struct item *copy = push(tape, COPY);
            copy->object = Py_NewRef(form);
            copy->len = PyDict_GET_SIZE(value);
            for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);)
                if (push_value(tape, item, seen)) return -1;
            Py_DECREF(keys);
            return 0;
        }
        Py_DECREF(keys);
        push(tape, DICT)->len = PyDict_GET_SIZE(value);
        for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);) {
            if (!PyUnicode_CheckExact(key)) {
                PyErr_SetString(PyExc_TypeError, "a key that is no str");
                return -1;
            }
            if (PyDict_GetItemWithError(seen, key) == Py_True) {
                /* One str for all places. */
                Py_INCREF(key);
                PyUnicode_InternInPlace(&key);
                if (PyObject_Hash(key) == -1) return -1;
                push(tape, KEY)->object = key;
            } else {
                push_text(tape, key);
            }
            if (push_value(tape, item, seen)) return -1;
        }
    } else {
        PyErr_Format(PyExc_TypeError, "a %s", Py_TYPE(value)->tp_name);
        return -1;
    }
    return 0;
}

/* Without a call where there are few. */
static inline void copy(char *to, const char *from, size_t len) {
    if (len >= 16 && len <= 32) {
        memcpy(to, from, 16);
        memcpy(to + len - 16, from + len - 16, 16);
    } else if (len >= 8 && len < 16) {
        memcpy(to, from, 8);
        memcpy(to + len - 8, from + len - 8, 8);
    } else {
        memcpy(to, from, len);
    }
}

static inline PyObject *make_text(const struct item *item) {
    if (item->len == 0 || (item->len == 1 && item->highest < 256)) {
        /* Of these there is one each. */
        return PyUnicode_FromKindAndData(1, item->characters, item->len);
    }
    PyObject *text = PyUnicode_New(item->len, item->highest);
    if (text) copy(PyUnicode_DATA(text), item->characters, item->len * PyUnicode_KIND(text));
    return text;
}

static PyObject *make_value(const struct item **next) {
    const struct item *item = (*next)++;
    switch (item->kind) {
    case INT:
        return PyLong_FromLongLong(item->number);
    case FLOAT:
        return PyFloat_FromDouble(item->real);
    case TEXT:
        return make_text(item);
    case BOOL: {
        PyObject *const both[2] = {Py_False, Py_True};
        return Py_NewRef(both[item->number]);
    }
    case NONE:
        return Py_NewRef(Py_None);
    case LIST: {
        PyObject *list = PyList_New(item->len);
        if (!list) return NULL;
        PyObject_GC_UnTrack(list);
        for (Py_ssize_t i = 0; i < item->len; i++) {
            PyObject *value = make_value(next);
            if (!value) return NULL;
            PyList_SET_ITEM(list, i, value);
        }
        PyObject_GC_Track(list);
        return list;
    }
    case DICT: {
        PyObject *dict = _PyDict_NewPresized(item->len);
        if (!dict) return NULL;
        for (Py_ssize_t i = 0; i < item->len; i++) {
            const struct item *of = (*next)++;
            PyObject *key = of->kind == KEY ? Py_NewRef(of->object) : make_text(of);
            PyObject *value = key ? make_value(next) : NULL;
            if (!value) return NULL;
            Py_hash_t hash = ((PyASCIIObject *)key)->hash;
            if (hash == -1) hash = PyObject_Hash(key);
            if (_PyDict_SetItem_KnownHash(dict, key, value, hash)) return NULL;
            Py_DECREF(key);
            Py_DECREF(value);
        }
        return dict;
    }
#if HAVE_PLACES
    case COPY: {
        PyObject *dict = PyDict_Copy(item->object);
        if (!dict) return NULL;
        PyDictUnicodeEntry *places = DK_UNICODE_ENTRIES(((PyDictObject *)dict)->ma_keys);
        int encloses = 0;
        for (Py_ssize_t i = 0; i < item->len; i++) {
            PyObject *value = make_value(next);
            if (!value) return NULL;
            encloses |= PyType_IS_GC(Py_TYPE(value));
            places[i].me_value = value;
        }
        /* For the references that the form had in these places. */
        Py_SET_REFCNT(Py_None, Py_REFCNT(Py_None) - item->len);
        if (encloses) PyObject_GC_Track(dict);
        return dict;
    }
#endif
    case BIG:
        return _PyLong_Copy((PyLongObject *)item->object);
    default:
        Py_FatalError("a tape that is no tape");
    }
}

static PyObject *make(PyObject *module, PyObject *capsule) {
    struct tape *tape = PyCapsule_GetPointer(capsule, "tape");
    if (!tape) return NULL;
    const struct item *next = tape->items;
    int enabled = PyGC_Disable();
    PyObject *value = make_value(&next);
    if (enabled) PyGC_Enable();
    if (!value) Py_FatalError("no memory for the objects");
    return value;
}

/* Kept until the process ends, as what is measured is. */
static PyObject *tape(PyObject *module, PyObject *value) {
    PyObject *seen = PyDict_New();
    struct tape *tape = PyMem_Calloc(1, sizeof *tape);
    if (!seen || !tape || count_keys(value, seen) || push_value(tape, value, seen)) {
        Py_XDECREF(seen);
        return NULL;
    }
    Py_DECREF(seen);
    return PyCapsule_New(tape, "tape", NULL);
}

static PyMethodDef methods[] = {{"tape", tape, METH_O, NULL}, {"make", make, METH_O, NULL}, {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "limit", NULL, -1, methods};
PyMODINIT_FUNC PyInit_limit(void) { return PyModule_Create(&definition); }
