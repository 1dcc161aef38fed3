"""Namespaces: their labels, and whether a selector takes them.

Pure.
"""

from collections.abc import Mapping
from typing import Protocol

from seawall.gateway.objects import object_key
from seawall.gateway.resources.core import NAMESPACE_NAME_LABEL
from seawall.gateway.resources.refs import LabelSelector, LabelSelectorRequirement
from seawall.gateway.view import View


class NamespaceRule(Protocol):
    """`allowedRoutes.namespaces` and `allowedListeners.namespaces`."""

    @property
    def from_(self) -> str: ...
    @property
    def selector(self) -> LabelSelector | None: ...


def admits(view: View, rule: NamespaceRule, home: str, namespace: str) -> bool:
    """Say whether a rule of an object in namespace `home` admits objects of `namespace`."""
    match rule.from_:
        case "All":
            return True
        case "Same":
            return namespace == home
        case "Selector":
            return rule.selector is not None and selects(rule.selector, labels(view, namespace))
        case _:
            return False


def labels(view: View, namespace: str) -> Mapping[str, str]:
    """Return the labels of a namespace, with the one that Kubernetes gives to each; it need not be written down."""
    obj = view.object(object_key("Namespace", "", namespace))
    return {**(obj.meta.labels if obj else {}), NAMESPACE_NAME_LABEL: namespace}


def selects(selector: LabelSelector, found: Mapping[str, str]) -> bool:
    """Say whether a label selector takes an object with these labels."""
    return all(found.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(requirement, found) for requirement in selector.match_expressions
    )


def _holds(requirement: LabelSelectorRequirement, found: Mapping[str, str]) -> bool:
    value = found.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False
