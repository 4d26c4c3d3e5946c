//! Component identifiers: which part of a message a signature covers (RFC 9421 section 2).
//!
//! Reading an identifier only asks that it be well formed. Whether a request can give it a value
//! is told by [`Component::check`] and in the end by the signature base, because a verifier must
//! be able to show what a signature claims to cover even if it cannot follow it there.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use crate::message::is_tchar;
use crate::message::structured::{BareItem, Item, Parameters, ParseFault, Unwritable};

use super::fields::{self, FieldType};

/// What names are made of: tokens without capital letters.
const LOWER_TCHAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = is_tchar(byte) && !byte.is_ascii_uppercase();
        byte += 1;
    }
    table
};

/// A component name with its parameters, in the order received.
#[derive(Clone, Debug)]
pub struct Component<'a> {
    name: Cow<'a, str>,
    params: Parameters<'a>,
}

/// Why an identifier is not one, or why a request has no value for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// Not a string in quotes.
    #[error("a component identifier is a string")]
    NotString,
    /// Neither a field name in lower case nor `@` with a name.
    #[error("{0:?} is neither a field name in lower case nor a derived component")]
    Name(String),
    /// A text from outside a message that is not RFC 9651.
    #[error("not a component identifier")]
    Syntax(#[source] ParseFault),
    /// A name with `@` that RFC 9421 section 2.2 does not define.
    #[error("no such derived component")]
    UnknownDerived,
    /// `@status`, which only a response has (section 2.2.9).
    #[error("only a response has a status")]
    Status,
    /// `@signature-params`, which is covered always and may not be listed (section 2.3).
    #[error("the signature parameters are covered already and may not be listed")]
    SignatureParams,
    /// A parameter that section 2 does not define.
    #[error("the parameter {0:?} is not known")]
    UnknownParameter(String),
    /// A flag with a value, or a `key` or `name` that is not a string.
    #[error("the parameter {0:?} has the wrong type")]
    ParameterType(&'static str),
    /// A parameter that this component cannot have, such as `sf` on `@method`.
    #[error("the parameter {0:?} does not apply to it")]
    Misplaced(&'static str),
    /// `bs` with `sf` or `key`: the raw lines and the parsed value at once (section 2.1).
    #[error("the parameter \"bs\" excludes \"sf\" and \"key\"")]
    Conflict,
    /// `req`, which is for responses (section 2.4).
    #[error("the parameter \"req\" is for responses")]
    Request,
    /// `tr`: trailers are not kept with a request.
    #[error("trailer fields are not part of the request")]
    Trailer,
    /// `@query-param` without `name` (section 2.2.8).
    #[error("the parameter \"name\" is missing")]
    NameMissing,
    /// `sf` on a field that is not known to be a structured one (section 2.1.1).
    #[error("the field is not known to be a structured one")]
    NotStructured,
    /// `key` on a field that is known to be no dictionary (section 2.1.2).
    #[error("the field is not a dictionary")]
    NotDictionary,
    /// The request has no such field, or no path.
    #[error("the request does not have it")]
    Absent,
    /// The value of a structured field is not one, or can be read in two ways.
    #[error("the value of the structured field cannot be read")]
    Value(#[source] ParseFault),
    /// The dictionary has no member of that key.
    #[error("the dictionary has no such member")]
    KeyAbsent,
    /// The query has no parameter of that name; `name` is compared in the encoded form of
    /// section 2.2.8.
    #[error("the query has no such parameter")]
    QueryParamAbsent,
    /// The query has the parameter more than once (section 2.2.8).
    #[error("the query has the parameter more than once")]
    QueryParamRepeated,
    /// The parameter is not UTF-8, so that readers differ about it.
    #[error("the query parameter is not utf-8")]
    QueryParamEncoding,
    /// The value holds bytes that cannot stand in a signature base.
    #[error("the value holds a control character or a byte outside ascii")]
    Characters,
    /// The identifier was not read but made, and has no spelling.
    #[error("the identifier cannot be written")]
    Unwritable(#[from] Unwritable),
}

/// A derived component that a request has, but for `@query-param`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Derived {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
}

/// How the value of a component is found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ValueSource<'c> {
    Derived(Derived),
    QueryParam(&'c str),
    Field,
    Strict(FieldType),
    Key(&'c str),
    Wrapped,
}

impl<'a> Component<'a> {
    /// The component `name` without parameters.
    ///
    /// # Errors
    /// [`ComponentError::Name`]: capital letters are one reason, section 2.1 wants lower case.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, ComponentError> {
        let name = name.into();
        let bare = name.strip_prefix('@').unwrap_or(&name);
        if bare.is_empty() || !bare.bytes().fold(true, |good, b| good & LOWER_TCHAR[usize::from(b)])
        {
            return Err(ComponentError::Name(name.into_owned()));
        }
        Ok(Component { name, params: Parameters::default() })
    }

    /// An item of the covered components of a signature.
    ///
    /// # Errors
    /// [`ComponentError::NotString`], [`ComponentError::Name`].
    pub fn from_item(item: Item<'a>) -> Result<Self, ComponentError> {
        match item.value {
            BareItem::String(name) => {
                Ok(Component { params: item.params, ..Component::new(name)? })
            }
            _ => Err(ComponentError::NotString),
        }
    }

    /// What a person writes: a bare name, `content-type` or `@method`, or a whole identifier,
    /// `"@query-param";name="Pet"`.
    ///
    /// # Errors
    /// [`ComponentError`], also for what no request can give a value to.
    pub fn parse(text: &'a str) -> Result<Self, ComponentError> {
        let component = if text.starts_with('"') {
            Component::from_item(Item::strict(text.as_bytes()).map_err(ComponentError::Syntax)?)?
        } else {
            Component::new(text)?
        };
        component.check()?;
        Ok(component)
    }

    /// The name, with its `@` if it is a derived component.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The parameters, as received.
    pub fn params(&self) -> &Parameters<'a> {
        &self.params
    }

    /// Whether the identifier is a name and nothing else, so that the whole component is covered.
    pub fn is_plain(&self) -> bool {
        self.params.is_empty()
    }

    /// Whether this is a derived component and not a field.
    pub fn is_derived(&self) -> bool {
        self.name.starts_with('@')
    }

    /// Whether the two are one identifier: the same name and the same parameters in any order
    /// (section 2).
    pub fn same_as(&self, other: &Component<'_>) -> bool {
        self.name == other.name
            && self.params.len() == other.params.len()
            && self.params.iter().all(|(name, value)| other.params.get(name) == Some(value))
    }

    /// Whether a request could have a value for it.
    ///
    /// # Errors
    /// [`ComponentError`]: names and parameters that are unknown, or not for requests, or exclude
    /// each other.
    pub fn check(&self) -> Result<(), ComponentError> {
        self.value_source().map(|_| ())
    }

    /// Appends the identifier to `out`, parameters in the order received (section 2.5).
    ///
    /// # Errors
    /// [`Unwritable`], only for an identifier that was made and not read.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        // A name holds nothing that a string would have to escape.
        out.push('"');
        out.push_str(&self.name);
        out.push('"');
        self.params.write_to(out)
    }

    /// The same identifier on its own.
    pub fn into_owned(self) -> Component<'static> {
        let name = Cow::Owned(self.name.into_owned());
        Component { name, params: self.params.into_owned() }
    }

    pub(super) fn value_source(&self) -> Result<ValueSource<'_>, ComponentError> {
        let (mut sf, mut bs, mut key, mut query_name) = (false, false, None, None);
        for (name, value) in self.params.iter() {
            let flag = |known| match value {
                BareItem::Boolean(true) => Ok(true),
                _ => Err(ComponentError::ParameterType(known)),
            };
            let text = |known| value.as_string().ok_or(ComponentError::ParameterType(known));
            match name {
                "sf" => sf = flag("sf")?,
                "bs" => bs = flag("bs")?,
                "key" => key = Some(text("key")?),
                "name" => query_name = Some(text("name")?),
                "req" => return Err(ComponentError::Request),
                "tr" => return Err(ComponentError::Trailer),
                other => return Err(ComponentError::UnknownParameter(other.to_owned())),
            }
        }
        let query_param = self.name == "@query-param";
        let misplaced = [
            ("sf", sf && self.is_derived()),
            ("bs", bs && self.is_derived()),
            ("key", key.is_some() && self.is_derived()),
            ("name", query_name.is_some() && !query_param),
        ];
        if let Some((name, _)) = misplaced.iter().find(|(_, wrong)| *wrong) {
            return Err(ComponentError::Misplaced(name));
        }
        if query_param {
            return query_name.map(ValueSource::QueryParam).ok_or(ComponentError::NameMissing);
        }
        if self.is_derived() {
            return derived(&self.name).map(ValueSource::Derived);
        }
        match (bs, sf, key) {
            (true, false, None) => Ok(ValueSource::Wrapped),
            (true, ..) => Err(ComponentError::Conflict),
            // `sf` beside `key` says nothing more (section 2.1). Who names a key says that the
            // field is a dictionary; that is believed unless the field is known to be another.
            (false, _, Some(key)) => match fields::kind(&self.name) {
                None | Some(FieldType::Dictionary) => Ok(ValueSource::Key(key)),
                Some(_) => Err(ComponentError::NotDictionary),
            },
            (false, true, None) => fields::kind(&self.name)
                .map(ValueSource::Strict)
                .ok_or(ComponentError::NotStructured),
            (false, false, None) => Ok(ValueSource::Field),
        }
    }
}

impl fmt::Display for Component<'_> {
    /// The identifier as it stands in a signature base. One that was made with parameters that
    /// have no spelling shows its name only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match self.write_to(&mut text) {
            Ok(()) => f.write_str(&text),
            Err(_) => write!(f, "\"{}\"", self.name),
        }
    }
}

fn derived(name: &str) -> Result<Derived, ComponentError> {
    Ok(match name {
        "@method" => Derived::Method,
        "@target-uri" => Derived::TargetUri,
        "@authority" => Derived::Authority,
        "@scheme" => Derived::Scheme,
        "@request-target" => Derived::RequestTarget,
        "@path" => Derived::Path,
        "@query" => Derived::Query,
        "@status" => return Err(ComponentError::Status),
        "@signature-params" => return Err(ComponentError::SignatureParams),
        _ => return Err(ComponentError::UnknownDerived),
    })
}

/// The place of the first identifier that stood before, in whatever order of its parameters.
pub(super) fn repeated(components: &[Component<'_>]) -> Option<usize> {
    let few = components.len() <= 32 && components.iter().all(|c| c.params.len() <= 4);
    if few {
        return (1..components.len())
            .find(|&at| components[..at].iter().any(|before| before.same_as(&components[at])));
    }
    // Whoever sends thousands must not make us compare every pair.
    let mut seen = HashSet::new();
    components.iter().position(|component| {
        let mut params: Vec<_> =
            component.params.iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
        params.sort();
        !seen.insert((component.name.as_ref(), params))
    })
}
