//! The components that a signer covers, and the tag that it sends.

use std::borrow::Cow;

use super::{Signer, SigningError};
use crate::base::{Component, ParamsError};
use crate::message::Head;
use crate::profile::{ComponentRules, SentParameter, TagRule};

impl Signer {
    /// Checks that requests can have the components that the profile names.
    pub(super) fn check_rules(rules: &ComponentRules) -> Result<(), SigningError> {
        let names = rules.always.iter().chain(&rules.with_body);
        names.cloned().try_for_each(|name| component(name).map(drop))
    }

    /// Returns the tag to send, by the rule of the profile.
    pub(super) fn sent_tag<'s>(&'s self, id: &'s str) -> Result<Option<&'s str>, SigningError> {
        if !self.profile.sends(SentParameter::Tag) {
            return Ok(None);
        }
        let fixed = match self.profile.tag {
            TagRule::Exactly(text) => Some(text),
            TagRule::UntaggedOr(text) => self.tag.as_ref().map(|_| text),
            TagRule::KeyIdOrClientId | TagRule::AnyText | TagRule::Ignored => {
                return Ok(Some(self.tag.as_deref().unwrap_or(id)));
            }
        };
        let by_kid = self.keyid.as_ref().is_some_and(|kid| kid != id);
        match (&self.tag, fixed) {
            (Some(tag), Some(fixed)) if tag != fixed => {
                Err(SigningError::Tag(self.profile.name.to_string()))
            }
            (Some(_), Some(_)) if by_kid && matches!(self.profile.tag, TagRule::UntaggedOr(_)) => {
                Err(SigningError::KeyId("with this tag a key is named by its thumbprint"))
            }
            _ => Ok(fixed),
        }
    }

    /// Returns the components to cover: those of the profile, in its order, then the added ones. A
    /// rule such as `mcp-param-*` stands for each such field of the request, in byte order.
    pub(super) fn components<'h>(
        &self,
        head: &'h Head<'_>,
        has_body: bool,
    ) -> Result<Vec<Component<'h>>, SigningError> {
        let mut components: Vec<Component<'h>> = Vec::new();
        let mut add = |one: Component<'h>| {
            let listed = |list: &[Component<'_>]| list.iter().any(|c| c.same_as(&one));
            if !listed(&components) && !listed(&self.dropped) {
                components.push(one);
            }
        };
        for name in self.profile.signer_components().names(head, has_body) {
            // With a tag, Web Bot Auth demands that the signature covers the member of the field
            // with its own label, and not the whole field.
            let is_member = self.tag.is_some() && self.profile.label_members.contains(&&*name);
            add(match is_member {
                true => member(&name, &self.label)?,
                false => component(name)?,
            });
        }
        for one in &self.added {
            add(one.clone());
        }
        Ok(components)
    }
}

fn component(name: Cow<'_, str>) -> Result<Component<'_>, SigningError> {
    Component::new(name.clone()).map_err(|source| {
        SigningError::Params(ParamsError::Component { component: name.into_owned(), source })
    })
}

/// Returns the component `"NAME";key="LABEL"`: the member of a dictionary (RFC 9421 section 2.1.2).
fn member(name: &str, label: &str) -> Result<Component<'static>, SigningError> {
    let text = format!("\"{name}\";key=\"{label}\"");
    Component::parse(&text).map(Component::into_owned).map_err(|source| {
        SigningError::Params(ParamsError::Component { component: text.clone(), source })
    })
}
