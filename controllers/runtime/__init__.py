"""The base of all controllers, and its public surface: what a controller's modules import.

It imports no client, cache or manager, so that a controller's module stays cheap to import.
"""

from controllers.desired import Desired
from controllers.findings import Finding, Severity
from controllers.manifests import Addition, Body, Key, Manifest
from controllers.profiles import Profile
from controllers.runtime.controller import (
    ALL_PROFILES,
    NO_PROFILES,
    Access,
    AnyController,
    CacheReader,
    Command,
    Controller,
    Enqueue,
    External,
    ExternalFactory,
    ObjectsFromSetting,
    Owned,
    ProfileGone,
    Rule,
    RulesFromSetting,
    RulesWhen,
    Runnable,
    Shared,
    Variants,
    Watch,
    always,
    by_namespace,
    no_facts,
    no_profiles,
)
from controllers.runtime.errors import Terminal, Waiting
from controllers.runtime.external.errors import ExternalError, Scope
from controllers.runtime.external.system import ComponentStatus, ExternalSystem

__all__ = [
    "ALL_PROFILES",
    "NO_PROFILES",
    "Access",
    "Addition",
    "AnyController",
    "Body",
    "CacheReader",
    "Command",
    "ComponentStatus",
    "Controller",
    "Desired",
    "Enqueue",
    "External",
    "ExternalError",
    "ExternalFactory",
    "ExternalSystem",
    "Finding",
    "Key",
    "Manifest",
    "ObjectsFromSetting",
    "Owned",
    "Profile",
    "ProfileGone",
    "Rule",
    "RulesFromSetting",
    "RulesWhen",
    "Runnable",
    "Scope",
    "Severity",
    "Shared",
    "Terminal",
    "Variants",
    "Waiting",
    "Watch",
    "always",
    "by_namespace",
    "no_facts",
    "no_profiles",
]
