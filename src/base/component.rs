//! Component identifiers: which part of a message a signature covers (RFC 9421 section 2).
//!
//! Parsing accepts every well-formed identifier. [`Component::check`] says whether a request can
//! have a value for it. These are two steps because a verifier must also report components that it
//! does not know.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use crate::message::is_tchar;
use crate::message::structured::{BareItem, Item, Parameters, ParseFault, Unwritable};

use super::fields::{self, FieldType};

/// The characters that a component name may have: those of tokens, except capital letters.
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
///
/// ```
/// use mcpid::base::{Component, ComponentError};
///
/// let pet = Component::parse("\"@query-param\";name=\"pet\"")?;
/// assert_eq!((pet.name(), pet.is_plain(), pet.is_derived()), ("@query-param", false, true));
/// assert_eq!(Component::parse("@status").unwrap_err(), ComponentError::Status);
/// # Ok::<(), ComponentError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Component<'a> {
    name: Cow<'a, str>,
    params: Parameters<'a>,
}

/// Why a component identifier is invalid, or why a request has no value for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The identifier is not a string in quotes.
    #[error("a component identifier is a string")]
    NotString,
    /// The name is neither a field name in lower case nor `@` with a name.
    #[error("{0:?} is neither a field name in lower case nor a derived component")]
    Name(String),
    /// A text that a person or file supplies as an identifier does not follow RFC 9651.
    #[error("not a component identifier")]
    Syntax(#[source] ParseFault),
    /// The name begins with `@`, but RFC 9421 section 2.2 does not define it.
    #[error("no such derived component")]
    UnknownDerived,
    /// The component is `@status`, which only a response has (section 2.2.9).
    #[error("only a response has a status")]
    Status,
    /// The component is `@signature-params`, which is always covered and must not be listed
    /// (section 2.3).
    #[error("the signature parameters are covered already and may not be listed")]
    SignatureParams,
    /// Section 2 does not define this parameter.
    #[error("the parameter {0:?} is not known")]
    UnknownParameter(String),
    /// A flag has a value, or `key` or `name` is not a string.
    #[error("the parameter {0:?} has the wrong type")]
    ParameterType(&'static str),
    /// The parameter does not apply to this component, such as `sf` on `@method`.
    #[error("the parameter {0:?} does not apply to it")]
    Misplaced(&'static str),
    /// `bs` is combined with `sf` or `key`: the raw lines and the parsed value exclude each other
    /// (section 2.1).
    #[error("the parameter \"bs\" excludes \"sf\" and \"key\"")]
    Conflict,
    /// The parameter is `req`, which is only for signatures of responses (section 2.4).
    #[error("the parameter \"req\" is for responses")]
    Request,
    /// The parameter is `tr`. Trailers of a request are not kept, so they cannot be covered.
    #[error("trailer fields are not part of the request")]
    Trailer,
    /// The component is `@query-param` without its parameter `name` (section 2.2.8).
    #[error("the parameter \"name\" is missing")]
    NameMissing,
    /// The parameter is `sf`, on a field that is not a known structured field (section 2.1.1).
    #[error("the field is not known to be a structured one")]
    NotStructured,
    /// The parameter is `key`, on a field that is known not to be a dictionary (section 2.1.2).
    #[error("the field is not a dictionary")]
    NotDictionary,
    /// The request has no such field, or no path.
    #[error("the request does not have it")]
    Absent,
    /// The value of a structured field is invalid, or parsers could read it in two ways.
    #[error("the value of the structured field cannot be read")]
    Value(#[source] ParseFault),
    /// The dictionary has no member with that key.
    #[error("the dictionary has no such member")]
    KeyAbsent,
    /// The query has no parameter with that name. `name` is compared in the encoded form of section
    /// 2.2.8.
    #[error("the query has no such parameter")]
    QueryParamAbsent,
    /// The query has the parameter more than once (section 2.2.8).
    #[error("the query has the parameter more than once")]
    QueryParamRepeated,
    /// The query parameter is not UTF-8. Parsers replace such bytes in different ways.
    #[error("the query parameter is not utf-8")]
    QueryParamEncoding,
    /// The value contains bytes that are not allowed in a signature base.
    #[error("the value holds a control character or a byte outside ascii")]
    Characters,
    /// The identifier was made by this program, and RFC 9651 cannot express it.
    #[error("the identifier cannot be written")]
    Unwritable(#[from] Unwritable),
}

/// A derived component of a request, except `@query-param`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DerivedComponent {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
}

/// Where the value of a component comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ValueSource<'c> {
    Derived(DerivedComponent),
    QueryParam(&'c str),
    Field,
    Strict(FieldType),
    Key(&'c str),
    Wrapped,
}

impl<'a> Component<'a> {
    /// Makes the component `name` without parameters.
    ///
    /// # Errors
    /// [`ComponentError::Name`] if the name is not valid, for example because of capital letters
    /// (section 2.1 requires lower case).
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, ComponentError> {
        let name = name.into();
        let bare = name.strip_prefix('@').unwrap_or(&name);
        if bare.is_empty() || !bare.bytes().fold(true, |good, b| good & LOWER_TCHAR[usize::from(b)])
        {
            return Err(ComponentError::Name(name.into_owned()));
        }
        Ok(Component { name, params: Parameters::default() })
    }

    /// Converts an item of the list of covered components.
    ///
    /// # Errors
    /// [`ComponentError::NotString`] or [`ComponentError::Name`].
    pub fn from_item(item: Item<'a>) -> Result<Self, ComponentError> {
        match item.value {
            BareItem::String(name) => {
                Ok(Component { params: item.params, ..Component::new(name)? })
            }
            _ => Err(ComponentError::NotString),
        }
    }

    /// Parses the text of a person: a bare name, such as `content-type` or `@method`, or a whole
    /// identifier, such as `"@query-param";name="Pet"`.
    ///
    /// # Errors
    /// [`ComponentError`], also for a component that has no value in any request.
    pub fn parse(text: &'a str) -> Result<Self, ComponentError> {
        let component = if text.starts_with('"') {
            Component::from_item(Item::strict(text.as_bytes()).map_err(ComponentError::Syntax)?)?
        } else {
            Component::new(text)?
        };
        component.check()?;
        Ok(component)
    }

    /// Returns the name, with the `@` of a derived component.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the parameters, as received.
    pub fn params(&self) -> &Parameters<'a> {
        &self.params
    }

    /// Returns true if the identifier has no parameters, so that the whole component is covered.
    pub fn is_plain(&self) -> bool {
        self.params.is_empty()
    }

    /// Returns true if this is a derived component (and not a field).
    pub fn is_derived(&self) -> bool {
        self.name.starts_with('@')
    }

    /// Returns true if both identifiers mean the same component: same name, and same parameters in
    /// any order (section 2).
    pub fn same_as(&self, other: &Component<'_>) -> bool {
        self.name == other.name
            && self.params.len() == other.params.len()
            && self.params.iter().all(|(name, value)| other.params.get(name) == Some(value))
    }

    /// Checks that a request can have a value for this component.
    ///
    /// # Errors
    /// [`ComponentError`] if the name or a parameter is unknown or not for requests, or if
    /// parameters exclude each other.
    pub fn check(&self) -> Result<(), ComponentError> {
        self.value_source().map(|_| ())
    }

    /// Appends the identifier to `out`, with its parameters in the order received (section 2.5).
    ///
    /// # Errors
    /// [`Unwritable`] if it cannot be written. This does not happen for a parsed identifier.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        // Names have no character that needs an escape.
        out.push('"');
        out.push_str(&self.name);
        out.push('"');
        self.params.write_to(out)
    }

    /// Copies borrowed text, so that the component borrows nothing.
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
            // `sf` has no effect beside `key` (section 2.1). A field with the parameter `key` is
            // taken for a dictionary, unless it is known to have another type.
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
    /// Writes the identifier as in a signature base. If a parameter cannot be written, writes only
    /// the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match self.write_to(&mut text) {
            Ok(()) => f.write_str(&text),
            Err(_) => write!(f, "\"{}\"", self.name),
        }
    }
}

fn derived(name: &str) -> Result<DerivedComponent, ComponentError> {
    Ok(match name {
        "@method" => DerivedComponent::Method,
        "@target-uri" => DerivedComponent::TargetUri,
        "@authority" => DerivedComponent::Authority,
        "@scheme" => DerivedComponent::Scheme,
        "@request-target" => DerivedComponent::RequestTarget,
        "@path" => DerivedComponent::Path,
        "@query" => DerivedComponent::Query,
        "@status" => return Err(ComponentError::Status),
        "@signature-params" => return Err(ComponentError::SignatureParams),
        _ => return Err(ComponentError::UnknownDerived),
    })
}

/// Returns the index of the first component identifier that repeats an earlier one. The order of
/// parameters does not matter.
pub(super) fn repeated(components: &[Component<'_>]) -> Option<usize> {
    let few = components.len() <= 32 && components.iter().all(|c| c.params.len() <= 4);
    if few {
        return (1..components.len())
            .find(|&at| components[..at].iter().any(|before| before.same_as(&components[at])));
    }
    // A set is used, because a client may send thousands of components, and comparing all pairs
    // would take too long.
    let mut seen = HashSet::new();
    components.iter().position(|component| {
        let mut params: Vec<_> =
            component.params.iter().map(|(name, value)| (name, format!("{value:?}"))).collect();
        params.sort();
        !seen.insert((component.name.as_ref(), params))
    })
}
