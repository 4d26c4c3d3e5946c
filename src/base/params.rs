//! Signature parameters: the covered components and the metadata of a signature (RFC 9421 section
//! 2.3).
//!
//! All parameters are kept in the order received, including unknown ones. They are all signed: if a
//! verifier dropped unknown ones, its signature base would differ from the signer's.

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

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Param<T> {
    /// The parameter is absent.
    Absent,
    /// The parameter has another type than section 2.3 defines.
    WrongType,
    /// The parameter is present.
    Value(T),
}

impl<T> Param<T> {
    /// Returns the value, or `None` if the parameter is absent or has the wrong type.
    pub fn value(self) -> Option<T> {
        match self {
            Param::Value(value) => Some(value),
            Param::Absent | Param::WrongType => None,
        }
    }
}

/// A fault in one member of `Signature-Input` or `Signature`. It affects only the signature with
/// that label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberFault {
    /// A parameter is repeated, or base64 is not canonical.
    #[error(transparent)]
    Structured(ParseFault),
    /// The member of `Signature-Input` or `Accept-Signature` is not an inner list (section 4.1).
    #[error("not a list of components")]
    NotComponents,
    /// The member of `Signature` is not a byte sequence (section 4.2).
    #[error("not a byte sequence")]
    NotBytes,
    /// The member of `Signature` has parameters, which RFC 9421 does not define and no signature
    /// covers.
    #[error("a signature has no parameters")]
    SignatureParameters,
    /// A covered component is not valid.
    #[error("component {place} is malformed")]
    Component {
        /// The position of the component, counted from 1.
        place: usize,
        /// What is wrong with the component.
        source: ComponentError,
    },
    /// An identifier is repeated, possibly with its parameters in another order (section 2).
    #[error("{0} is listed twice")]
    DuplicateComponent(String),
}

/// The parameters that a signer sets. Most profiles do not send `alg`, because the key determines
/// it.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatedParameters<'a> {
    /// When the signature was made, in seconds since 1970.
    pub created: Option<i64>,
    /// End of validity (exclusive), in seconds since 1970.
    pub expires: Option<i64>,
    /// A value that is used only once, against replays.
    pub nonce: Option<&'a str>,
    /// The id of the key.
    pub keyid: Option<&'a str>,
    /// The algorithm of the key.
    pub alg: Option<&'a str>,
    /// The purpose or client of the signature.
    pub tag: Option<&'a str>,
}

/// Why parameters cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// An identifier occurs twice (RFC 9421 section 2).
    #[error("{0} is listed twice")]
    DuplicateComponent(String),
    /// No request has a value for an identifier.
    #[error("{component} cannot be covered")]
    Component {
        /// The identifier of the component.
        component: String,
        /// The reason.
        source: ComponentError,
    },
    /// RFC 9651 cannot express the value of a parameter, such as a tag outside ASCII.
    #[error("the parameter {name:?} cannot be written")]
    Unwritable {
        /// The parameter.
        name: &'static str,
        /// The reason.
        source: Unwritable,
    },
}

impl<'a> SignatureParams<'a> {
    /// Makes the parameters of a new signature, in the order created, expires, nonce, keyid, alg,
    /// tag.
    ///
    /// # Errors
    /// [`ParamsError`] if an identifier is repeated or has no value in any request, or if a value
    /// cannot be written.
    pub fn for_signing(
        components: Vec<Component<'a>>,
        claims: &StatedParameters<'a>,
    ) -> Result<Self, ParamsError> {
        let integer = |n: Option<i64>| n.map(BareItem::Integer);
        let string = |s: Option<&'a str>| s.map(|s| BareItem::String(Cow::Borrowed(s)));
        let values = [
            ("created", integer(claims.created)),
            ("expires", integer(claims.expires)),
            ("nonce", string(claims.nonce)),
            ("keyid", string(claims.keyid)),
            ("alg", string(claims.alg)),
            ("tag", string(claims.tag)),
        ];
        Self::made(components, values)
    }

    /// Makes parameters, and checks that all components and values can be written.
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

    /// Converts a member of `Signature-Input`.
    ///
    /// # Errors
    /// [`MemberFault`] if the member is not valid.
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

    /// Returns the covered components, in order and without repetition.
    pub fn components(&self) -> &[Component<'a>] {
        &self.components
    }

    /// Returns true if the whole component `name` is covered. An identifier with parameters does
    /// not count, because it may cover only a part.
    pub fn covers(&self, name: &str) -> bool {
        self.components.iter().any(|component| component.is_plain() && component.name() == name)
    }

    /// Returns all parameters, in order.
    pub fn params(&self) -> &Parameters<'a> {
        &self.params
    }

    /// Returns when the signature was made, in seconds since 1970.
    pub fn created(&self) -> Param<i64> {
        self.integer("created")
    }

    /// Returns the end of validity (exclusive), in seconds since 1970.
    pub fn expires(&self) -> Param<i64> {
        self.integer("expires")
    }

    /// Returns the nonce.
    pub fn nonce(&self) -> Param<&str> {
        self.string("nonce")
    }

    /// Returns the id of the key.
    pub fn keyid(&self) -> Param<&str> {
        self.string("keyid")
    }

    /// Returns the purpose of the signature, or the client.
    pub fn tag(&self) -> Param<&str> {
        self.string("tag")
    }

    /// Returns the algorithm that the signature names.
    pub fn alg(&self) -> Param<&str> {
        self.string("alg")
    }

    /// Appends the value of `@signature-params` to `out`. The member of `Signature-Input` has this
    /// value too (sections 2.3 and 2.5).
    ///
    /// # Errors
    /// [`Unwritable`]. This does not happen for parameters that this module parsed or made.
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

    /// Copies borrowed text, so that the parameters borrow nothing.
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
