//! Conversions from and to JavaScript objects.

use js_sys::{Object, Reflect};
use wasm_bindgen::{JsCast, JsError, JsValue};

/// Returns an object with these fields.
pub(crate) fn object<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // Setting a field of a new plain object cannot fail.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

/// Reads the options object of a call. Each option is read once; `finish` rejects unknown ones.
pub(crate) struct OptionsReader {
    object: Object,
    known: Vec<&'static str>,
}

impl OptionsReader {
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

    /// Returns an option, or `None` if it is undefined or null.
    fn read(&mut self, name: &'static str) -> Option<JsValue> {
        self.known.push(name);
        let value = Reflect::get(&self.object, &name.into()).ok()?;
        (!value.is_undefined() && !value.is_null()).then_some(value)
    }

    /// Returns the value of the word that the option contains, or `None` if the option is missing.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, JsError> {
        let Some(value) = self.read(name) else {
            return Ok(None);
        };
        let word = value.as_string().unwrap_or_default();
        match choices.iter().find(|(choice, _)| *choice == word) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let choices: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
                let rule = format!("must be one of {}", choices.join(", "));
                Err(invalid(name, &rule))
            }
        }
    }

    /// Returns a number, or `None` if the option is missing.
    pub(crate) fn number(&mut self, name: &'static str) -> Result<Option<f64>, JsError> {
        match self.read(name).map(|value| value.as_f64()) {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => Err(invalid(name, "must be a number")),
        }
    }

    /// Returns a typed array, or `None` if the option is missing. Other array types are errors, so
    /// no number is converted silently.
    pub(crate) fn array<T: JsCast>(
        &mut self,
        name: &'static str,
        rule: &str,
    ) -> Result<Option<T>, JsError> {
        match self.read(name).map(JsCast::dyn_into) {
            None => Ok(None),
            Some(Ok(array)) => Ok(Some(array)),
            Some(Err(_)) => Err(invalid(name, rule)),
        }
    }

    /// Returns an error if the object has an option that was not read.
    pub(crate) fn finish(self) -> Result<(), JsError> {
        for name in Object::keys(&self.object).iter() {
            let name = name.as_string().unwrap_or_default();
            if !self.known.contains(&name.as_str()) {
                let known = self.known.join(", ");
                return Err(invalid(
                    &name,
                    &format!("is unknown; the options are {known}"),
                ));
            }
        }
        Ok(())
    }
}

pub(crate) fn invalid(name: &str, rule: &str) -> JsError {
    JsError::new(&format!("options.{name}: {rule}"))
}
