"""What the chart has to know of the controllers: names, rights, settings that these follow from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from controllers.runtime import rbac
from controllers.runtime.controller import (
    AnyController,
    Rule,
    RulesForNames,
    RulesFromSetting,
    RulesWhen,
)
from profiles_controller.config import yaml
from profiles_controller.config.flags import environment_variables, flag_name
from profiles_controller.config.load import env_prefix
from profiles_controller.config.sources import accepted_keys

CHART = Path(__file__).parents[1] / "profiles-controller"
PATH = CHART / "files" / "controllers.yaml"
_HEADER = (
    "# Made by `./taskw generate` out of what the controllers declare. Do not edit.\n"
    "# `configured` are rules that follow from settings; `variables` and `flags` set these, too.\n"
)


def file(controllers: Sequence[AnyController]) -> tuple[Path, str]:
    """The file's path and content."""
    content = {
        "common": _rules(rbac.COMMON),
        "events": _rules([rbac.EVENTS]),
        "leases": _rules([rbac.LEASES]),
        "reader": rbac.reader_role(controllers, "reader")["rules"],
        "controllers": [_controller(one) for one in controllers],
    }
    return PATH, _HEADER + yaml.dump([content])


def _controller(controller: AnyController) -> dict[str, Any]:
    common = set(rbac.COMMON)
    configured = set(rbac.configured(controller))
    always = [
        rule
        for rule in rbac.rules(controller)
        if rule not in common and (rule not in configured or rule in controller.access.rules)
    ]
    named = dict.fromkeys(each for one in controller.access.by_settings for each in _settings(one))
    fields, prefix = controller.settings.model_fields, env_prefix(controller.name)
    return {
        "name": controller.name,
        "summary": controller.summary,
        "apart": controller.command.standalone,
        "variants": list(controller.variants.names),
        "rules": _rules(always),
        "configured": [_configured(controller, one) for one in controller.access.by_settings],
        "variables": [
            each for one in named for each in environment_variables(one, fields[one], prefix)
        ],
        "flags": [flag_name(one) for one in named if one in controller.command.flags],
    }


def _settings(one: RulesWhen | RulesFromSetting | RulesForNames) -> tuple[str, ...]:
    return (one.setting, *one.while_set) if isinstance(one, RulesForNames) else (one.setting,)


def _configured(
    controller: AnyController, one: RulesWhen | RulesFromSetting | RulesForNames
) -> dict[str, Any]:
    found = _setting(controller, one.setting)
    match one:
        case RulesWhen():
            values = [str(value) for value in one.values]
            return {"kind": "granted", **found, "values": values, "rules": _rules(one.rules)}
        case RulesFromSetting():
            return {"kind": "listed", **found}
        case RulesForNames():
            whiles = [_setting(controller, each) for each in one.while_set]
            rule = rbac.to_rbac(one.rule)
            return {"kind": "named", **found, "key": one.key, "while": whiles, "rule": rule}


def _setting(controller: AnyController, name: str) -> dict[str, Any]:
    """Where the chart finds it, and what it is by default."""
    known = accepted_keys(controller.settings).items()
    default = controller.settings.model_validate({}).model_dump(mode="json")[name]
    return {
        "setting": name,
        "spellings": [each for each, whose in known if whose == name],
        "default": default,
    }


def _rules(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    return [rbac.to_rbac(rule) for rule in rules]
