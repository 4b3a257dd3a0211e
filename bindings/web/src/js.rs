//! JavaScript's objects: options that come in, answers that go out.

use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast, JsError, JsValue};

/// An object of these fields.
pub(crate) fn object<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a field of a plain object of our own cannot fail.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

/// The options that a caller gave; each is taken once, and what is left over is a mistake.
pub(crate) struct Given {
    object: Object,
    known: Vec<&'static str>,
}

impl Given {
    pub(crate) fn new(options: JsValue) -> Result<Self, JsError> {
        let object = match options {
            none if none.is_null() || none.is_undefined() => Object::new(),
            some if some.is_object() => some.unchecked_into(),
            _ => return Err(JsError::new("options: must be an object")),
        };
        Ok(Self {
            object,
            known: Vec::new(),
        })
    }

    fn take(&mut self, name: &'static str) -> Option<JsValue> {
        self.known.push(name);
        let value = Reflect::get(&self.object, &name.into()).ok()?;
        (!value.is_undefined() && !value.is_null()).then_some(value)
    }

    /// One of these words, or `None` where nothing is said.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, JsError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let word = value.as_string().unwrap_or_default();
        match choices.iter().find(|(choice, _)| *choice == word) {
            Some((_, meant)) => Ok(Some(*meant)),
            None => {
                let choices: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
                let rule = format!("must be one of {}", choices.join(", "));
                Err(wrong(name, &rule))
            }
        }
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<f64>, JsError> {
        match self.take(name).map(|value| value.as_f64()) {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => Err(wrong(name, "must be a number")),
        }
    }

    /// A typed array, of this type and no other: numbers are not converted behind anyone's back.
    pub(crate) fn array<T: JsCast>(
        &mut self,
        name: &'static str,
        rule: &str,
    ) -> Result<Option<T>, JsError> {
        match self.take(name).map(JsCast::dyn_into) {
            None => Ok(None),
            Some(Ok(array)) => Ok(Some(array)),
            Some(Err(_)) => Err(wrong(name, rule)),
        }
    }

    /// Refuses names that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), JsError> {
        for name in Object::keys(&self.object).iter() {
            let name = name.as_string().unwrap_or_default();
            if !self.known.contains(&name.as_str()) {
                let known = self.known.join(", ");
                return Err(wrong(&name, &format!("is unknown; there are {known}")));
            }
        }
        Ok(())
    }
}

pub(crate) fn wrong(name: &str, rule: &str) -> JsError {
    JsError::new(&format!("options.{name}: {rule}"))
}
