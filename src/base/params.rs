//! Signature parameters: what is covered, and what the signature says about itself (RFC 9421
//! section 2.3). They are kept exactly in the order received, unknown ones included: an
//! implementation that reads them into fields and writes them out again signs its own idea of
//! them, and lets others be added or moved behind the signer's back.

use std::borrow::Cow;

use super::component::{self, Component, ComponentError};
use crate::message::structured::{
    BareItem, InnerList, Member, Parameters, ParseFault, Received, Unwritable,
};

/// The covered components and the parameters of one signature.
#[derive(Clone, Debug)]
pub struct SignatureParams<'a> {
    components: Vec<Component<'a>>,
    params: Parameters<'a>,
}

/// A parameter, as far as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param<T> {
    /// Not there.
    Absent,
    /// There, with a type that section 2.3 does not give it.
    WrongType,
    /// There.
    Value(T),
}

impl<T> Param<T> {
    /// The value, if there is one of the right type.
    pub fn value(self) -> Option<T> {
        match self {
            Param::Value(value) => Some(value),
            Param::Absent | Param::WrongType => None,
        }
    }
}

/// What is wrong inside one member of `Signature-Input` or `Signature`. It is that candidate's
/// fault only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberFault {
    /// A repeated parameter, or base64 that is not canonical.
    #[error(transparent)]
    Structured(ParseFault),
    /// The member of `Signature-Input` or `Accept-Signature` is not an inner list (section 4.1).
    #[error("not a list of components")]
    NotComponents,
    /// The member of `Signature` is not a byte sequence (section 4.2).
    #[error("not a byte sequence")]
    NotBytes,
    /// The member of `Signature` has parameters. RFC 9421 gives them no meaning and no signature
    /// covers them.
    #[error("a signature has no parameters")]
    SignatureParameters,
    /// A covered component is none.
    #[error("component {place} is malformed")]
    Component {
        /// Which one, from 1.
        place: usize,
        /// Why.
        source: ComponentError,
    },
    /// The same identifier twice, maybe with its parameters in another order (section 2).
    #[error("{0} is listed twice")]
    DuplicateComponent(String),
}

/// The parameters that a signer sets. `alg` is not among them: the key says it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims<'a> {
    /// When the signature was made, seconds since 1970.
    pub created: Option<i64>,
    /// From when on it is void, seconds since 1970.
    pub expires: Option<i64>,
    /// What makes it unique.
    pub nonce: Option<&'a str>,
    /// Which key made it.
    pub keyid: Option<&'a str>,
    /// What it is for.
    pub tag: Option<&'a str>,
}

/// Why something cannot be signed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// The same identifier twice (RFC 9421 section 2).
    #[error("{0} is listed twice")]
    DuplicateComponent(String),
    /// An identifier that no request has a value for.
    #[error("{component} cannot be covered")]
    Component {
        /// The identifier.
        component: String,
        /// Why.
        source: ComponentError,
    },
    /// A parameter that RFC 9651 has no spelling for, such as a tag outside ASCII.
    #[error("the parameter {name:?} cannot be written")]
    Unwritable {
        /// The parameter.
        name: &'static str,
        /// Why.
        source: Unwritable,
    },
}

impl<'a> SignatureParams<'a> {
    /// The parameters of a new signature, in the order created, expires, nonce, keyid, tag.
    ///
    /// # Errors
    /// [`ParamsError`].
    pub fn for_signing(
        components: Vec<Component<'a>>,
        claims: &Claims<'a>,
    ) -> Result<Self, ParamsError> {
        let integer = |n: Option<i64>| n.map(BareItem::Integer);
        let string = |s: Option<&'a str>| s.map(|s| BareItem::String(Cow::Borrowed(s)));
        let values = [
            ("created", integer(claims.created)),
            ("expires", integer(claims.expires)),
            ("nonce", string(claims.nonce)),
            ("keyid", string(claims.keyid)),
            ("tag", string(claims.tag)),
        ];
        Self::made(components, values)
    }

    /// Parameters that are made, not read: everything must be writable and mean something.
    pub(super) fn made<const N: usize>(
        components: Vec<Component<'a>>,
        values: [(&'static str, Option<BareItem<'a>>); N],
    ) -> Result<Self, ParamsError> {
        let mut scratch = String::new();
        for component in &components {
            let writable = component.write_to(&mut scratch).map_err(ComponentError::from);
            component.check().and(writable).map_err(|source| {
                let component = component.to_string();
                ParamsError::Component { component, source }
            })?;
        }
        if let Some(twice) = component::repeated(&components).and_then(|at| components.get(at)) {
            return Err(ParamsError::DuplicateComponent(twice.to_string()));
        }
        let mut params = Parameters::default();
        for (name, value) in values {
            if let Some(value) = value {
                value
                    .write_to(&mut scratch)
                    .map_err(|source| ParamsError::Unwritable { name, source })?;
                params.set(name, value);
            }
        }
        Ok(SignatureParams { components, params })
    }

    /// A member of `Signature-Input`, as received.
    ///
    /// # Errors
    /// [`MemberFault`].
    pub fn from_member(member: Received<Member<'a>>) -> Result<Self, MemberFault> {
        if let Some(fault) = member.fault {
            return Err(MemberFault::Structured(fault));
        }
        let Member::InnerList(InnerList { items, params }) = member.value else {
            return Err(MemberFault::NotComponents);
        };
        let mut components = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            components.push(
                Component::from_item(item)
                    .map_err(|source| MemberFault::Component { place: index + 1, source })?,
            );
        }
        match component::repeated(&components).and_then(|at| components.get(at)) {
            Some(twice) => Err(MemberFault::DuplicateComponent(twice.to_string())),
            None => Ok(SignatureParams { components, params }),
        }
    }

    /// The covered components, in order; none is listed twice.
    pub fn components(&self) -> &[Component<'a>] {
        &self.components
    }

    /// Whether the whole component `name` is covered: an identifier with parameters, which may
    /// cover only a part, does not count.
    pub fn covers(&self, name: &str) -> bool {
        self.components.iter().any(|component| component.is_plain() && component.name() == name)
    }

    /// All parameters, in order.
    pub fn params(&self) -> &Parameters<'a> {
        &self.params
    }

    /// When the signature was made, seconds since 1970.
    pub fn created(&self) -> Param<i64> {
        self.integer("created")
    }

    /// From when on it is void, seconds since 1970.
    pub fn expires(&self) -> Param<i64> {
        self.integer("expires")
    }

    /// What makes it unique.
    pub fn nonce(&self) -> Param<&str> {
        self.string("nonce")
    }

    /// Which key made it.
    pub fn keyid(&self) -> Param<&str> {
        self.string("keyid")
    }

    /// What it is for.
    pub fn tag(&self) -> Param<&str> {
        self.string("tag")
    }

    /// The algorithm it says it was made with.
    pub fn alg(&self) -> Param<&str> {
        self.string("alg")
    }

    /// Appends the value of `@signature-params` to `out`, which is also the member's value in
    /// `Signature-Input` (sections 2.3 and 2.5).
    ///
    /// # Errors
    /// [`Unwritable`]; not for what was read or made by this module.
    pub fn write_to(&self, out: &mut String) -> Result<(), Unwritable> {
        out.push('(');
        for (index, component) in self.components.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            component.write_to(out)?;
        }
        out.push(')');
        self.params.write_to(out)
    }

    /// The same parameters on their own.
    pub fn into_owned(self) -> SignatureParams<'static> {
        SignatureParams {
            components: self.components.into_iter().map(Component::into_owned).collect(),
            params: self.params.into_owned(),
        }
    }

    fn integer(&self, name: &str) -> Param<i64> {
        match self.params.get(name) {
            None => Param::Absent,
            Some(value) => value.as_integer().map_or(Param::WrongType, Param::Value),
        }
    }

    fn string(&self, name: &str) -> Param<&str> {
        match self.params.get(name) {
            None => Param::Absent,
            Some(value) => value.as_string().map_or(Param::WrongType, Param::Value),
        }
    }
}
